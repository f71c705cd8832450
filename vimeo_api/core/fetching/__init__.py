"""Fetching a URL into a file: the job of a worker, and the client that it uses."""
