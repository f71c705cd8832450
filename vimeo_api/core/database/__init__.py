"""The tables, and how statements are run: each is its own transaction."""
