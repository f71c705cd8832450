"""The tables, and how statements are run; every statement is a transaction of its own."""
