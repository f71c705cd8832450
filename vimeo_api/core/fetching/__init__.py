"""Fetching a URL into a file: the worker's job, and the HTTP client that it uses."""
