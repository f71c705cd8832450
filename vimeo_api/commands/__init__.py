"""The commands that need no settings, no database and no app, for operators and users; `cli` loads them."""
