"""TODO database."""
