"""Placing: copy a file from the pending area of the spool into the store, which is another filesystem.

    pending → copied, verified, synced, renamed → the row is switched → the pending copy is removed after a while

Until its row is switched, a file is served from the pending area. The pending copy stays GRACE_SECONDS longer, for
readers that were sent there. The copy keeps its modification time, so no ETag changes. Each step can be repeated: a
killed worker leaves a draft that the next attempt starts again, or a pending copy that is still due. Uploads mark the
row as due, the sweep enqueues it, `tasks.place` does it. Sources: flock(2), rename(2), posix_fadvise(2).
"""

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import func, update

from vimeo_api.core import hosts
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.errors import DigestMismatch, StorageFull, Unavailable
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.storage.blobs import fsync_folder, make_folder, open_locked, raising_storage_full, remove_from
from vimeo_api.core.storage.writer import Writer
from vimeo_api.extensions import blobs, in_app, mount_check, settings

DRAFTS = ".placing"  # folder of the store
MIN_GRACE_SECONDS = 2  # longer than nginx takes to open a file that it was sent to
CALL_SECONDS = 30  # before a file is enqueued again; the worker that has it puts this off
PUT_OFF_SECONDS = 5  # between two such delays
RETRY_SECONDS = 300  # after an error that will last a while

_log = logging.getLogger(__name__)


def due(limit: int) -> list[int]:
    """Return the ids of this host's files that are due, and put them off by CALL_SECONDS."""
    values = {"place_due_at": _after(CALL_SECONDS)}
    ours = (File.place_due_at <= now(), hosts.here(File.host))
    return catalog.put_off(*ours, order=File.place_due_at, limit=limit, values=values)


def run(file_id: int) -> None:
    """Do the next step for a file: copy it into the store or remove its pending copy. Safe to run twice, or at once."""
    entry = catalog.by_id(file_id)
    if entry is None or entry.place_due_at is None or entry.status == Status.GONE or not hosts.is_here(entry.host):
        return
    if not entry.pending:
        with blobs.locked(entry.surface, entry.blob):
            clear(entry.surface, entry.blob)
        cleared = update(File).where(File.id == file_id, File.pending.is_(False))
        statements.execute(cleared.values(place_due_at=None, host=None))
        return
    try:
        with draft(entry) as opened:
            if opened is not None:
                _place(entry, *opened)
    except Unavailable as error:
        _log.warning("file %d stays pending: %s", file_id, error)  # still due, so it is tried again soon
    except (StorageFull, DigestMismatch, OSError) as error:
        _log.error("file %d was not placed and stays pending: %s", file_id, error)
        _put_off(file_id, RETRY_SECONDS)


def clear(surface: str, blob: str) -> None:
    """Remove a blob from the pending area, under `locked`, unless a file is still served from there."""
    if blobs.uses_pending() and not catalog.live_blobs(surface, [blob], File.pending.is_(True)):
        remove_from(blobs.path(surface, blob, pending=True))


def drafts() -> list[Path]:
    """Return the copies in progress, including those of killed workers."""
    folder = settings.store_dir / DRAFTS
    return list(folder.iterdir()) if folder.exists() else []


def _place(entry: Entry, path: Path, descriptor: int) -> None:
    mount_check.check()  # now: our open file keeps the store from being unmounted
    digest = _copied(entry, descriptor)
    target = blobs.path(entry.surface, entry.blob)
    with blobs.locked(entry.surface, entry.blob):
        if not catalog.live_blobs(entry.surface, [entry.blob]):
            return  # deleted, perhaps purged: if we were killed after the rename, nobody would remove the copy
        with raising_storage_full():
            make_folder(target.parent)  # under the lock: removing the last file in the folder removes the folder
        path.replace(target)  # replaces a leftover, if there is one; its bytes are the same
        fsync_folder(target.parent)
        if not _switch(entry.id, digest) and not catalog.live_blobs(entry.surface, [entry.blob]):
            blobs.remove(entry.surface, entry.blob)  # deleted meanwhile; its purge waits for our lock


@contextmanager
def draft(entry: Entry) -> Iterator[tuple[Path, int] | None]:
    """Open and lock the draft of a file; yield None if another worker has it. A dead worker's lock is free."""
    path = settings.store_dir / DRAFTS / f"{entry.surface}-{entry.blob}"
    with raising_storage_full():
        make_folder(path.parent)
    descriptor = open_locked(path)
    if descriptor is None:
        yield None
        return
    try:
        yield path, descriptor
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _copied(entry: Entry, target: int) -> str:
    """Copy the bytes durably and return the digest of the copy, read back from the disk.

    Raises StorageFull, and DigestMismatch if the source, the copy and the row do not agree.
    """
    algorithm = entry.digest.partition(":")[0] if entry.digest else "sha256"
    renewal = _Renewal(entry.id)
    source = os.open(blobs.path(entry.surface, entry.blob, pending=True), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        facts = os.fstat(source)
        os.ftruncate(target, 0)
        Writer(target, facts.st_size, progress=renewal).copy(source, facts.st_size)
        os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        with raising_storage_full():
            os.fsync(target)
        os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)
        digests = {f"{algorithm}:{_digest(descriptor, algorithm, renewal)}" for descriptor in (source, target)}
    finally:
        os.close(source)
    if len(digests | ({entry.digest} if entry.digest else set())) > 1:
        raise DigestMismatch("The copy, its source and their digest do not agree.")
    return digests.pop()


def _digest(descriptor: int, algorithm: str, renewal: "_Renewal") -> str:
    digest, position = hashlib.new(algorithm), 0
    while piece := os.pread(descriptor, 1024**2, position):
        digest.update(piece)
        position += len(piece)
        renewal(position)
    return digest.hexdigest()


class _Renewal:
    """Puts off a file's next call while a worker copies it."""

    def __init__(self, file_id: int) -> None:
        self._put_off = in_app(_put_off)  # the writer's threads report
        self._file_id = file_id
        self._renewed = time.monotonic()

    def __call__(self, _bytes: int) -> None:
        if time.monotonic() - self._renewed > PUT_OFF_SECONDS:
            self._renewed = time.monotonic()
            self._put_off(self._file_id, CALL_SECONDS)


def _switch(file_id: int, digest: str) -> bool:
    """Serve the file from the store from now on; return False if it is gone."""
    values = {
        "pending": False,
        "place_due_at": _after(max(settings.grace_seconds, MIN_GRACE_SECONDS)),
        "digest": func.coalesce(File.digest, digest),
    }
    switched = update(File).where(File.id == file_id, File.pending, File.status != Status.GONE).values(values)
    return statements.execute(switched) == 1


def _put_off(file_id: int, seconds: float) -> None:
    statements.execute(update(File).where(File.id == file_id, File.pending).values(place_due_at=_after(seconds)))


def _after(seconds: float) -> datetime:
    return now() + timedelta(seconds=seconds)
