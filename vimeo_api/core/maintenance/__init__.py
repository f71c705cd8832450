"""TODO maintenance."""
