"""Placing: a file in the pending area of the spool is copied into the store, which is another filesystem.

    pending → copied, verified, synced, renamed → the row says where → the pending copy is removed after a while

A file is served from there until its row is switched, and for GRACE_SECONDS more the pending copy stays for readers
who were sent there. The copy keeps the time of modification, so nobody's ETag changes. Each step can be repeated: a
worker that is killed leaves a draft that the next attempt begins anew, or a pending copy that is still due. Uploads
write down what is to be placed, the sweep asks for it, `tasks.place` does it. Sources: flock(2), rename(2),
posix_fadvise(2).
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

from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.errors import DigestMismatch, StorageFull, Unavailable
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.storage.blobs import fsync_folder, full_disk_is_said, make_folder, open_alone, remove_from
from vimeo_api.core.storage.writer import Writer
from vimeo_api.extensions import blobs, in_app, mount_check, settings

DRAFTS = ".placing"  # folder of the store
LEAST_CLEAR_SECONDS = 2  # longer than nginx takes to open a file that it was told of
CALL_SECONDS = 30  # between two calls for a worker; whoever is at it puts the next one off
RENEW_SECONDS = 5
RETRY_SECONDS = 300  # after a fault that will not be gone in a moment

_log = logging.getLogger(__name__)


def due(limit: int) -> list[int]:
    """Return the ids of files for whose placing it is time, and put the next call off."""
    values = {"place_due_at": _after(CALL_SECONDS)}
    return catalog.put_off(File.place_due_at <= now(), order=File.place_due_at, limit=limit, values=values)


def run(file_id: int) -> None:
    """Do what is next for a file: copy it into the store or remove its pending copy. Safe to run twice, and at once."""
    entry = catalog.by_id(file_id)
    if entry is None or entry.place_due_at is None or entry.status == Status.GONE:
        return
    if not entry.pending:
        with blobs.locked(entry.surface, entry.blob):
            clear(entry.surface, entry.blob)
        statements.changed(update(File).where(File.id == file_id, File.pending.is_(False)).values(place_due_at=None))
        return
    try:
        with draft(entry) as opened:
            if opened is not None:
                _place(entry, *opened)
    except Unavailable as error:
        _log.warning("file %d stays pending: %s", file_id, error)  # due again by itself, soon
    except (StorageFull, DigestMismatch, OSError) as error:
        _log.error("file %d was not placed and stays pending: %s", file_id, error)
        _put_off(file_id, RETRY_SECONDS)


def clear(surface: str, blob: str) -> None:
    """Remove a blob from the pending area, under `locked`, unless a file is served from there."""
    if blobs.uses_pending() and not catalog.live_blobs(surface, [blob], File.pending.is_(True)):
        remove_from(blobs.path(surface, blob, pending=True))


def drafts() -> list[Path]:
    """Return the copies that are being made, or were when somebody was killed."""
    folder = settings.store_dir / DRAFTS
    return list(folder.iterdir()) if folder.exists() else []


def _place(entry: Entry, path: Path, descriptor: int) -> None:
    mount_check.check()  # now that an open file keeps it from being unmounted
    digest = _copied(entry, descriptor)
    target = blobs.path(entry.surface, entry.blob)
    with blobs.locked(entry.surface, entry.blob):
        if not catalog.live_blobs(entry.surface, [entry.blob]):
            return  # deleted, and purged perhaps: nobody would remove the copy if we were killed here
        with full_disk_is_said():
            make_folder(target.parent)  # under the lock, or whoever removes the last file in it takes it away
        path.replace(target)  # over one that somebody left there, if so; the bytes are the same
        fsync_folder(target.parent)
        if not _switch(entry.id, digest) and not catalog.live_blobs(entry.surface, [entry.blob]):
            blobs.remove(entry.surface, entry.blob)  # deleted meanwhile; its purge waits for our lock


@contextmanager
def draft(entry: Entry) -> Iterator[tuple[Path, int] | None]:
    """Open the draft of a file, or give None if another worker has it; the kernel frees one whose worker died."""
    path = settings.store_dir / DRAFTS / f"{entry.surface}-{entry.blob}"
    with full_disk_is_said():
        make_folder(path.parent)
    descriptor = open_alone(path)
    if descriptor is None:
        yield None
        return
    try:
        yield path, descriptor
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _copied(entry: Entry, target: int) -> str:
    """Copy the bytes durably, and return their digest, which was read back from the disk.

    Raises StorageFull, and DigestMismatch if source, copy and row do not agree.
    """
    algorithm = entry.digest.partition(":")[0] if entry.digest else "sha256"
    renewal = _Renewal(entry.id)
    source = os.open(blobs.path(entry.surface, entry.blob, pending=True), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        facts = os.fstat(source)
        os.ftruncate(target, 0)
        Writer(target, facts.st_size, progress=renewal).copy(source, facts.st_size)
        os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        with full_disk_is_said():
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
    """Puts the next call for a worker off while one is at it."""

    def __init__(self, file_id: int) -> None:
        self._put_off = in_app(_put_off)  # the writer's threads report
        self._file_id = file_id
        self._renewed = time.monotonic()

    def __call__(self, _bytes: int) -> None:
        if time.monotonic() - self._renewed > RENEW_SECONDS:
            self._renewed = time.monotonic()
            self._put_off(self._file_id, CALL_SECONDS)


def _switch(file_id: int, digest: str) -> bool:
    """Note that the file is served from the store now; return whether it is still there to be served."""
    values = {
        "pending": False,
        "place_due_at": _after(max(settings.grace_seconds, LEAST_CLEAR_SECONDS)),
        "digest": func.coalesce(File.digest, digest),
    }
    switched = update(File).where(File.id == file_id, File.pending, File.status != Status.GONE).values(values)
    return statements.changed(switched) == 1


def _put_off(file_id: int, seconds: float) -> None:
    statements.changed(update(File).where(File.id == file_id, File.pending).values(place_due_at=_after(seconds)))


def _after(seconds: float) -> datetime:
    return now() + timedelta(seconds=seconds)
