"""Sealed ids of the surface `transfer`: `<access_hash>:<file_name>`, the name encrypted and bound to the hash.

Fernet (AES-CBC and HMAC-SHA256, by `cryptography`) seals with the first key and opens with any of them. To rotate keys,
put a new one in front. Source: https://github.com/fernet/spec/blob/master/Spec.md
"""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from vimeo_api.extensions import settings

# An unsigned 64-bit number without leading zeros, and URL-safe base64.
_SEALED = re.compile(r"(0|[1-9][0-9]{0,19}):([A-Za-z0-9_-]+={0,2})", re.ASCII)


def seal(number: str, name: str) -> str:
    """Return the id with which the file of this access hash and name can be downloaded."""
    return f"{number}:{_keys().encrypt(f'{number}/{name}'.encode()).decode()}"


def open_sealed(file_id: str) -> tuple[str, str] | None:
    """Return the access hash and name of an id that `seal` made, or None for any other text."""
    match = _SEALED.fullmatch(file_id)
    if match is None:
        return None
    token = match[2].encode()
    try:
        # Decoding ignores some bits of the last character: without this, one id could be written in several ways.
        if urlsafe_b64encode(urlsafe_b64decode(token)) != token:
            return None
        number, _, name = _keys().decrypt(token).decode().partition("/")
    except (binascii.Error, InvalidToken):
        return None
    return (number, name) if number == match[1] else None


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.sealing_keys.split(",") if key])
