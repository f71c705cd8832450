"""The operator's commands that need no settings, no database and no service; `cli` loads them."""
