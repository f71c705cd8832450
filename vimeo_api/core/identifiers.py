"""Random keys and tokens that nobody can guess, and the ways in which a surface names a new file."""

import secrets
import uuid


def random_hex() -> str:
    """Return 128 random bits as 32 lower-case hexadecimal digits."""
    return secrets.token_hex(16)


def any_hex(_name: str) -> str:
    """Return a random key, whatever the file's name: 128 bits in hexadecimal."""
    return random_hex()


def any_uuid(_name: str) -> str:
    """Return a random key, whatever the file's name: a UUID (RFC 9562, version 4)."""
    return str(uuid.uuid4())


def any_number(_name: str) -> str:
    """Return a random key, whatever the file's name: an unsigned 64-bit number in decimal."""
    return str(secrets.randbits(64))


def own_name(name: str) -> str:
    """Return the file's name: it is its key."""
    return name
