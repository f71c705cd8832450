"""Fetching a URL, or joining streams, into a file: the worker's job, and the HTTP client that it uses."""
