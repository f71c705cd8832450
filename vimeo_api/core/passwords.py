"""Passwords of protected files: hashed with argon2id, never stored, never logged."""

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from vimeo_api.core.errors import Malformed, WrongPassword

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


def verify(expected: str | None, password: str | None) -> None:
    """Check a password against the hash that its file was stored with; an unprotected file has None.

    Raises WrongPassword when it is missing or wrong.
    """
    if expected is None:
        return
    if not password or len(password.encode()) > MAX_PASSWORD_BYTES:
        raise WrongPassword
    try:
        _hasher.verify(expected, password)
    except VerificationError:
        raise WrongPassword from None
