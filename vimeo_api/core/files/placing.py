"""Placing: copy a file from the pending area of the spool into the store, another filesystem or a bucket.

    pending → copied, verified, durable → the row is switched → the pending copy is removed after a while

Until its row is switched, a file is served from the pending area. The pending copy stays GRACE_SECONDS longer, for
readers that were sent there. The copy keeps its modification time, so no ETag changes. Each step can be repeated: a
killed worker leaves a draft that the next attempt starts again, or a pending copy that is still due. Uploads mark the
row as due, the sweep enqueues it, `tasks.place` does it.
"""

import logging
import os
import time
from datetime import datetime, timedelta

from sqlalchemy import func, update

from vimeo_api.core import hosts
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.errors import DigestMismatch, StorageFull, Unavailable
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.storage.folders import remove_from
from vimeo_api.core.storage.stores import Draft
from vimeo_api.extensions import blobs, in_app, settings

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
        with blobs.target.receiving(entry.surface, entry.blob) as draft:
            if draft is not None:
                _place(entry, draft)
    except Unavailable as error:
        _log.warning("file %d stays pending: %s", file_id, error)  # still due, so it is tried again soon
    except (StorageFull, DigestMismatch, OSError) as error:
        _log.error("file %d was not placed and stays pending: %s", file_id, error)
        _put_off(file_id, RETRY_SECONDS)


def placed_now(surface: str, key: str) -> bool:
    """Place a file without waiting for a worker; return whether that worked."""
    entry = catalog.find(surface, key)
    if entry is None or not entry.pending:
        return True
    run(entry.id)
    entry = catalog.by_id(entry.id)
    return entry is None or not entry.pending


def clear(surface: str, blob: str) -> None:
    """Remove a blob from the pending area, under `locked`, unless a file is still served from there."""
    if blobs.uses_pending() and not catalog.live_blobs(surface, [blob], File.pending.is_(True)):
        remove_from(blobs.path(surface, blob, pending=True))


def _place(entry: Entry, draft: Draft) -> None:
    modified = blobs.modified(entry.surface, entry.blob, pending=True)
    digest = _copied(entry, draft)
    with blobs.locked(entry.surface, entry.blob):
        if not catalog.live_blobs(entry.surface, [entry.blob]):
            return  # deleted, perhaps purged: if we were killed after `keep`, nobody would remove the copy
        draft.keep()
        if not _switch(entry.id, digest, modified) and not catalog.live_blobs(entry.surface, [entry.blob]):
            draft.withdraw()  # deleted meanwhile; its purge waits for our lock


def _copied(entry: Entry, draft: Draft) -> str:
    """Copy the bytes durably and return the digest of the copy.

    Raises StorageFull, Unavailable, and DigestMismatch if the source, the copy and the row do not agree.
    """
    algorithm = entry.digest.partition(":")[0] if entry.digest else "sha256"
    source = os.open(blobs.path(entry.surface, entry.blob, pending=True), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        digest = f"{algorithm}:{draft.copy(source, algorithm, _Renewal(entry.id))}"
    finally:
        os.close(source)
    if entry.digest not in {None, digest}:
        raise DigestMismatch("The copy and its digest do not agree.")
    return digest


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


def _switch(file_id: int, digest: str, modified: int) -> bool:
    """Serve the file from the store from now on; return False if it is gone."""
    values = {
        "pending": False,
        "place_due_at": _after(max(settings.grace_seconds, MIN_GRACE_SECONDS)),
        "digest": func.coalesce(File.digest, digest),
        "modified": func.coalesce(File.modified, modified),
        "store": blobs.target.name,
    }
    switched = update(File).where(File.id == file_id, File.pending, File.status != Status.GONE).values(values)
    return statements.execute(switched) == 1


def _put_off(file_id: int, seconds: float) -> None:
    statements.execute(update(File).where(File.id == file_id, File.pending).values(place_due_at=_after(seconds)))


def _after(seconds: float) -> datetime:
    return now() + timedelta(seconds=seconds)
