"""What crashes leave behind, removed once it is old enough to belong to nobody: `tasks.reconcile` calls it daily.

In the spool: bytes that were being received, and partial files of fetches that are over. In store and landing: blobs
without a row, published just before a crash or by an upload whose row the database never acknowledged, and drafts of
placements that nobody finished.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqlalchemy import select

from vimeo_api.core import database, placing, storage
from vimeo_api.core.models import File, Status
from vimeo_api.extensions import settings

OLD_SECONDS = 24 * 3600  # longer than any request or fetch goes without writing


def reconcile() -> int:
    """Remove what is left behind; return how many files that were. Safe beside a running service."""
    left = _remove(_left_in_spool()) + _remove(filter(_old, placing.drafts()))
    roots = (settings.store_dir, settings.spool_dir / storage.LANDING)
    return left + sum(_reconcile_folder(folder) for root in roots for folder in _folders(root))


def _remove(paths: Iterable[Path]) -> int:
    removed = 0
    for path in paths:
        path.unlink(missing_ok=True)
        removed += 1
    return removed


def _left_in_spool() -> Iterator[Path]:
    for path in filter(_old, list(settings.spool_dir.iterdir())):
        blob = path.name.removeprefix("fetch-").partition(".")[0]
        if not (path.name.startswith("fetch-") and _is_fetched(blob)):
            yield path


def _folders(root: Path) -> list[Path]:
    surfaces = [folder for folder in root.iterdir() if folder.name != placing.DRAFTS] if root.exists() else []
    return [folder for surface in surfaces for folder in surface.iterdir() if folder.is_dir()]


def _reconcile_folder(folder: Path) -> int:
    surface = folder.parent.name
    blobs = [path.name for path in folder.iterdir() if _old(path)]
    orphans = set(blobs) - _known(surface, blobs)
    for blob in orphans:
        with storage.locked(surface, blob):
            if not _known(surface, [blob]):
                storage.remove_from(folder / blob)
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
