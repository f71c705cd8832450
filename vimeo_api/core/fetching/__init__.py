"""TODO fetching."""
