"""Secrets that are made on the first start and kept from then on."""

import contextlib
import os
import secrets
from pathlib import Path


def kept_secret(path: Path, fresh: str) -> str:
    """Return the secret kept at path; the first of several concurrent starts writes its fresh one there."""
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
