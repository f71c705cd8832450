"""The operator's commands that work on the service itself: its settings, database and files; `cli` loads them."""
