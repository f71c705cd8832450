"""Grants: what the address of a download in a browser holds, so that the browser can resume it without a password.

A grant is the token for the lease, which the download will take, and our signature of it for one file. It is made once
the password was right, and nothing is stored. `services.granted_downloads` makes and checks them.
"""

import hashlib
import hmac

from vimeo_api.core import identifiers
from vimeo_api.extensions import settings

_TOKEN = 32  # hexadecimal digits


def new(file_id: int) -> str:
    """Return a new grant for a file."""
    token = identifiers.random_hex()
    return token + _signature(file_id, token)


def token(grant: str) -> str:
    """Return the token in a grant, whether it is genuine or not."""
    return grant[:_TOKEN]


def is_genuine(file_id: int, grant: str) -> bool:
    """Return whether we have made a grant for this file."""
    return hmac.compare_digest(_signature(file_id, token(grant)).encode(), grant[_TOKEN:].encode())


def _signature(file_id: int, lease_token: str) -> str:
    message = f"grant\0{file_id}\0{lease_token}".encode()
    return hmac.new(settings.secret_key.encode(), message, hashlib.sha256).hexdigest()[:32]
