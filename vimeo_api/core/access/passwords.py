"""Passwords of protected files: hashed with argon2id, never stored, never logged."""

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from vimeo_api.core.errors import Malformed

MAX_PASSWORD_BYTES = 1024  # longer ones only serve to keep the hasher busy

# OWASP Password Storage Cheat Sheet: argon2id, 19 MiB, two passes, one lane; about 25 ms.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hashed(password: str) -> str:
    """Return the argon2id hash of a password, in PHC string format.

    Raises Malformed when it is longer than MAX_PASSWORD_BYTES in UTF-8.
    """
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise Malformed(f"The password is longer than {MAX_PASSWORD_BYTES} bytes.")
    return _hasher.hash(password)


def matches(expected: str | None, password: str | None) -> bool:
    """Return whether a password fits the hash that its file was stored with; None is an unprotected file."""
    if expected is None:
        return True
    if not password or len(password.encode()) > MAX_PASSWORD_BYTES:
        return False
    try:
        return _hasher.verify(expected, password)
    except VerificationError:
        return False
