"""The work that repeats: the sweep of what is due, and the daily reconciliation."""
