"""Files: their rows, their states, their queues, and where their bytes are."""
