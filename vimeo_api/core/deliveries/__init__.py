"""What became of each response of a one-time file, as nginx's journal tells."""
