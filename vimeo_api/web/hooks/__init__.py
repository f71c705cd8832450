"""TODO hooks."""
