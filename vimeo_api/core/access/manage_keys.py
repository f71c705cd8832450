"""The keys of manage URLs, by which an uploader follows and deletes a file; `services` makes and checks them.

A key is 128 random bits, shown once and stored as its SHA-256: nobody can guess it, so it needs no slow hash.
"""

import hashlib

from vimeo_api.core import identifiers


def new() -> str:
    """Return a new key."""
    return identifiers.random_hex()


def digest(key: str) -> str:
    """Return what the row stores of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
