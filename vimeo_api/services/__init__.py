"""The use cases; each view calls one of them."""
