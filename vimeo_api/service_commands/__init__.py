"""The operator's commands that need the service's settings, database or files; `cli` loads them."""
