"""What is known about files: their rows, their states, their queues, and where their bytes are."""
