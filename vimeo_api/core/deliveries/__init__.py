"""How each response of a one-time file ended."""
