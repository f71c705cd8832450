"""TODO deliveries."""
