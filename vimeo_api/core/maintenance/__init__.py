"""Periodic work: the sweep for due work, and the daily reconciliation."""
