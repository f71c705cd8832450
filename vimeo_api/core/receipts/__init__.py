"""Receipts: messages to the address that an uploader named with `notify`, which say what became of the file."""
