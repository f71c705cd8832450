"""Keys and tokens that nobody can guess."""

import secrets
import uuid


def random_hex() -> str:
    """Return 128 random bits as 32 lower-case hexadecimal digits."""
    return secrets.token_hex(16)


def any_hex(_name: str) -> str:
    """Return a key for a file of any name: 128 random bits in hexadecimal."""
    return random_hex()


def any_uuid(_name: str) -> str:
    """Return a key for a file of any name: a random UUID (RFC 9562, version 4)."""
    return str(uuid.uuid4())


def any_number(_name: str) -> str:
    """Return a key for a file of any name: a random unsigned 64-bit number in decimal."""
    return str(secrets.randbits(64))


def own_name(name: str) -> str:
    """Return the name of a file as its key."""
    return name
