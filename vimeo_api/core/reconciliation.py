"""What crashes leave behind, removed once it is old enough to belong to nobody: `tasks.reconcile` calls it daily.

In the spool: bytes that were being received, and partial files of fetches that are over. In the store: blobs without
a row, published just before a crash or by an upload whose row the database never acknowledged.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select

from vimeo_api.core import database, storage
from vimeo_api.core.models import File, Status
from vimeo_api.core.partial import PREFIX
from vimeo_api.extensions import settings

OLD_SECONDS = 24 * 3600  # longer than any request or fetch goes without writing


def reconcile() -> int:
    """Remove what is left behind; return how many files that were. Safe beside a running service."""
    return _reconcile_spool() + sum(map(_reconcile_folder, list(_folders())))


def _reconcile_spool() -> int:
    removed = 0
    for path in filter(_old, list(settings.spool_dir.iterdir())):
        blob = path.name.partition(".")[0].rpartition("-")[2]
        if not (path.name.startswith(PREFIX) and _is_fetched(blob)):
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _folders() -> Iterator[Path]:
    for surface in settings.store_dir.iterdir():
        yield from (folder for folder in surface.iterdir() if folder.is_dir())


def _reconcile_folder(folder: Path) -> int:
    surface = folder.parent.name
    blobs = [path.name for path in folder.iterdir() if _old(path)]
    orphans = set(blobs) - _known(surface, blobs)
    for blob in orphans:
        with storage.locked(surface, blob):
            if not _known(surface, [blob]):
                storage.remove(surface, blob)
    return len(orphans)


def _old(path: Path) -> bool:
    try:
        return path.is_file() and time.time() - path.lstat().st_mtime > OLD_SECONDS
    except FileNotFoundError:
        return False


def _known(surface: str, blobs: list[str]) -> set[str]:
    wanted = select(File.blob).where(File.surface == surface, File.blob.in_(blobs), File.purged_at.is_(None))
    return {row.blob for row in database.rows(wanted)}


def _is_fetched(blob: str) -> bool:
    waiting = select(File.id).where(File.blob == blob, File.status == Status.FETCHING)
    return database.row(waiting) is not None
