"""Secrets in files: generated on the first start and kept since, unless they are set.

`config` calls it for the embedded profile, `extensions` for the store's mark and the secret of receipts,
`deploy/stack.py` for its stack.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet


def secret_key(folder: Path) -> str:
    """Return the `SECRET_KEY` kept in a data folder."""
    return write_once(folder / "secret.key", secrets.token_hex(32))


def sealing_keys(folder: Path) -> str:
    """Return the `SEALING_KEYS` kept in a data folder."""
    return write_once(folder / "sealing.keys", Fernet.generate_key().decode())


def notify_secret(folder: Path) -> str:
    """Return the one of `NOTIFY_SECRETS` kept in a data folder, in the form of Standard Webhooks."""
    path = folder / "notify.secret"
    if path.exists():
        return path.read_text().strip()
    return write_once(path, f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}")


def peer_key(secret_key: str) -> str:
    """Return the key by which the hosts that share a `SECRET_KEY` know each other."""
    return hmac.new(secret_key.encode(), b"peers", hashlib.sha256).hexdigest()[:32]


def write_once(path: Path, fresh: str) -> str:
    """Return what is in the file; the first of several concurrent starts writes `fresh` there, durably."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    with draft.open("w") as file:
        file.write(fresh)
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    os.close(folder)
    return path.read_text().strip()
