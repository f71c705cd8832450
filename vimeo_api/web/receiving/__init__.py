"""TODO receiving."""
