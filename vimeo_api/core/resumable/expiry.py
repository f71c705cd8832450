"""Give up uploads that nobody continues; `tasks.sweep` and the reconciliation call it."""

from collections.abc import Iterator
from pathlib import Path

from vimeo_api.core.resumable import parts, rows


def sweep() -> int:
    """Remove expired uploads; return how many were unfinished."""
    keys = rows.expired()
    return sum(_removed(key) for key in keys)


def remove(key: str) -> bool:
    """End an upload: the row first, then the bytes; return whether there was one. The file of a finished one stays."""
    removed = rows.remove(key)
    parts.remove(key)
    return removed


def leftovers() -> Iterator[Path]:
    """Yield the files of uploads without a row, which crashes leave behind."""
    found = list(parts.leftovers())
    known = rows.known({path.stem for path in found})
    yield from (path for path in found if path.stem not in known)


def _removed(key: str) -> bool:
    has_bytes = parts.path(key).exists()
    return remove(key) and has_bytes
