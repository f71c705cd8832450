"""Passwords of protected files: stored only as argon2id hashes, never logged. `services` hashes and checks them."""

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from vimeo_api.core.errors import Malformed

MAX_PASSWORD_BYTES = 1024  # a longer one would only keep the hasher busy

# OWASP Password Storage Cheat Sheet: argon2id, 19 MiB, two passes, one lane; takes about 25 ms.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hashed(password: str) -> str:
    """Return the argon2id hash of a password, in PHC string format.

    Raises Malformed if it is longer than MAX_PASSWORD_BYTES in UTF-8.
    """
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise Malformed(f"The password is longer than {MAX_PASSWORD_BYTES} bytes.")
    return _hasher.hash(password)


def matches(expected: str | None, password: str | None) -> bool:
    """Return whether a password matches the hash of its file; a hash of None means the file has no password."""
    if expected is None:
        return True
    if not password or len(password.encode()) > MAX_PASSWORD_BYTES:
        return False
    try:
        return _hasher.verify(expected, password)
    except VerificationError:
        return False
