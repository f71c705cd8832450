"""Resumable uploads: their rows, their bytes so far, and what nginx says of requests that broke off."""
