"""Placing: copy a file from the pending area of the spool into the store, another filesystem or a bucket.

    pending → copied, verified, durable → the row is switched → the pending copy is removed after a while

Until its row is switched, a file is served from the pending area. The pending copy stays GRACE_SECONDS longer, for
readers that were sent there. The copy keeps its modification time, so no ETag changes. Each step can be repeated: a
killed worker leaves a draft that the next attempt starts again, or a pending copy that is still due. Uploads mark the
row as due, the sweep enqueues as many tasks as that needs, and each takes a batch of what is due (`run_due`).
"""

import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from vimeo_api.core import hosts
from vimeo_api.core.clock import now
from vimeo_api.core.database import counters, statements
from vimeo_api.core.database.counters import Counted
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.errors import DigestMismatch, StorageFull, Unavailable
from vimeo_api.core.files import catalog, copies
from vimeo_api.core.files.catalog import COLUMNS, Entry
from vimeo_api.core.files.copies import Copy
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.core.storage.folders import remove_from
from vimeo_api.core.storage.stores import Draft, Progress
from vimeo_api.extensions import blobs, in_app, settings

MIN_GRACE_SECONDS = 2  # longer than nginx takes to open a file that it was sent to
CALL_SECONDS = 30  # before a file is due again; the worker that has it puts this off
PUT_OFF_SECONDS = 5  # between two such delays
FAILING_SECONDS = 120  # after a failure, in which the next attempt is made
RETRY_SECONDS = 300  # after an error that will last a while

_log = logging.getLogger(__name__)


def waiting(limit: int) -> int:
    """Return how many of this host's files are due, counting no more than `limit`."""
    due = select(File.id).where(File.place_due_at <= now(), hosts.here(File.host)).limit(limit).subquery()
    row = statements.row(select(func.count()).select_from(due))
    return int(row[0]) if row else 0


def failing() -> bool:
    """Return whether the store has taken no file since it last refused one, a moment ago."""
    known = counters.read()
    _, failed_at = known.get(Counted.PLACE_FAILURES, (0, None))
    _, placed_at = known.get(Counted.PLACED, (0, None))
    if failed_at is None or failed_at < now() - timedelta(seconds=FAILING_SECONDS):
        return False
    return placed_at is None or placed_at < failed_at


def run_due() -> None:
    """Take a batch of this host's files that are due, and do the next step for each."""
    if not blobs.target.away:
        taken = due(copies.BATCH)
        run(*taken)
        counters.add({Counted.PLACEMENTS: len(taken)})


def due(limit: int) -> list[int]:
    """Return the ids of this host's files that are due, BATCH_BYTES at most, and put them off by CALL_SECONDS.

    If several callers do this at once, each file goes to one of them.
    """
    conditions = (File.place_due_at <= now(), hosts.here(File.host))
    first = select(File.id, File.size, File.pending).where(*conditions).order_by(File.place_due_at).limit(limit)
    while found := statements.rows(first):
        count = copies.fitting(row.size if row.pending else 0 for row in found)
        these = statements.among(File.id, [row.id for row in found[:count]])
        taken = update(File).where(these, *conditions).values(place_due_at=_after(CALL_SECONDS)).returning(File.id)
        if ids := [row.id for row in statements.rows(taken)]:
            return ids
    return []


def run(*file_ids: int) -> None:
    """Do the next step for files: copy them into the store or remove their pending copies.

    Safe to run twice, or at once.
    """
    if not file_ids:
        return
    known = catalog.entries(select(*COLUMNS).where(statements.among(File.id, file_ids)))
    ours = [
        entry
        for entry in known
        if entry.place_due_at is not None and entry.status != Status.GONE and hosts.is_here(entry.host)
    ]
    _clear_all([entry for entry in ours if not entry.pending])
    pending = [entry for entry in ours if entry.pending]
    for start in range(0, len(pending), blobs.target.batch):
        _place(pending[start : start + blobs.target.batch])


def send(
    staging: Staging, surface: str, blob: str, *, digest: str | None = None, progress: Progress = lambda _: None
) -> dict[str, Any]:
    """Put staged bytes into the store at once, as PLACE=through promises; return what their row must say about it.

    `blob` must be new. Raises Unavailable and, if the bytes have another digest than the given one, DigestMismatch.
    """
    with blobs.target.receiving(surface, blob) as draft:
        if draft is None:
            raise Unavailable("Another worker stores the same bytes.")
        copied = copies.verified(draft, staging.descriptor, digest, progress)
        draft.keep()
    return {"digest": copied, "modified": staging.modified, "store": blobs.target.name}


def unsend(surface: str, blob: str) -> None:
    """Remove what was sent and has no row; if the store is away, reconciliation does."""
    with suppress(Unavailable):
        blobs.remove_remote(surface, blob)


def clear(surface: str, blob: str) -> None:
    """Remove a blob from the pending area, under `locked`, unless a file is still served from there."""
    if blobs.uses_pending() and not catalog.live_blobs(surface, [blob], File.pending.is_(True)):
        remove_from(blobs.path(surface, blob, pending=True))


def _clear_all(placed: Sequence[Entry]) -> None:
    if not placed:
        return
    for entry in placed:
        with blobs.locked(entry.surface, entry.blob):
            if blobs.shared_by_digest:  # the same content may have been uploaded again
                clear(entry.surface, entry.blob)
            else:
                remove_from(blobs.path(entry.surface, entry.blob, pending=True))
    cleared = update(File).where(statements.among(File.id, [entry.id for entry in placed]), File.pending.is_(False))
    statements.execute(cleared.values(place_due_at=None, host=None))


def _place(entries: Sequence[Entry]) -> None:
    """Copy files into the store, at the same time, and switch their rows together."""
    try:
        with copies.begun(entries, blobs.target) as begun:
            made = _made(begun)
            _keep(made)
    except (StorageFull, OSError) as error:
        for entry in entries:
            _retry_later(entry, error)
    except Unavailable as error:
        if not blobs.target.away:  # else it has said so in the log, once for all files
            _log.warning("%d files stay pending: %s", len(entries), error)
        counters.add({Counted.PLACE_FAILURES: len(entries)})  # they are due again soon
    else:
        counters.add({Counted.PLACED: len(made), Counted.PLACED_BYTES: sum(copy.entry.size for copy in made)})


def _made(begun: Sequence[tuple[Entry, Draft]]) -> list[Copy]:
    """Copy files and return those that were copied. Raises Unavailable if the store took none."""
    copied = copies.at_once(_copy, begun, blobs.target.threads)
    made = [copy for copy in copied if isinstance(copy, Copy)]
    refused = [error for error in copied if isinstance(error, Unavailable)]
    if refused and not made:
        raise refused[0]
    return made


def _copy(begun: tuple[Entry, Draft]) -> Copy | Unavailable | None:
    """Copy a file; return why the store did not take it, or None after another error."""
    entry, draft = begun
    try:
        modified = blobs.modified(entry.surface, entry.blob, pending=True)
        return Copy(entry, draft, _copied(entry, draft), modified)
    except Unavailable as error:
        return error
    except (StorageFull, DigestMismatch, OSError) as error:
        _retry_later(entry, error)
        return None


def _copied(entry: Entry, draft: Draft) -> str:
    """Copy the bytes of a pending file durably and return the digest of the copy. Raises what `verified` does."""
    source = os.open(blobs.path(entry.surface, entry.blob, pending=True), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return copies.verified(draft, source, entry.digest, _Renewal(entry.id))
    finally:
        os.close(source)


def _retry_later(entry: Entry, error: Exception) -> None:
    _log.error("file %d was not placed and stays pending: %s", entry.id, error)
    _put_off(entry.id, RETRY_SECONDS)


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


def _keep(made: Sequence[Copy]) -> None:
    """Serve copied files from the store, unless they were deleted meanwhile."""
    with copies.locked(made):
        # If we were killed after `keep`, nobody would remove the copy of a file that is purged.
        kept = copies.needed(made)
        for copy in kept:
            copy.draft.keep()
        switched = _switch(kept)
        left = [copy for copy in kept if copy.entry.id not in switched]
        needed = copies.needed(left)
        for copy in left:
            if copy not in needed:
                copy.draft.withdraw()  # deleted meanwhile; its purge waits for our lock


def _switch(kept: Sequence[Copy]) -> set[int]:
    """Serve files from the store from now on; return the ids of those that were still pending and not gone."""
    if not kept:
        return set()
    values = copies.known_now(kept, File.id) | {
        "pending": False,
        "place_due_at": _after(max(settings.grace_seconds, MIN_GRACE_SECONDS)),
        "store": blobs.target.name,
    }
    these = statements.among(File.id, [copy.entry.id for copy in kept])
    switched = update(File).where(these, File.pending, File.status != Status.GONE).values(values)
    return {row.id for row in statements.rows(switched.returning(File.id))}


def _put_off(file_id: int, seconds: float) -> None:
    statements.execute(update(File).where(File.id == file_id, File.pending).values(place_due_at=_after(seconds)))


def _after(seconds: float) -> datetime:
    return now() + timedelta(seconds=seconds)
