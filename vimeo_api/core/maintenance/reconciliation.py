"""What crashes and bad disks leave behind: found, reported, and repaired where nothing can be lost.

    leftover   bytes in the spool that nobody needs (sweeps remove most)      removed
    orphan     a blob in the store or pending area without a row             removed
    draft      a copy that a killed worker left, in parts or whole           removed
    missing    a row whose bytes are missing                                 reported: only a backup has them
    damaged    bytes with another digest or size than their row says         reported
    overdue    a row that has waited too long for the sweep                  left to the sweep, which may be stopped

It ignores whatever is younger than a given age, so it is safe beside a running service: an upload or a fetch writes
more often than that. `tasks.reconcile` repairs daily; `manage.py reconcile` shows what it would do before it does it.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import ColumnElement, and_, func, not_, or_, select

from vimeo_api.core import hosts
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.fetching.partial_file import PARTIAL_PREFIX
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import COLUMNS, Entry
from vimeo_api.core.policy import BY_SURFACE
from vimeo_api.core.resumable import expiry, parts
from vimeo_api.core.storage.blobs import PENDING
from vimeo_api.core.storage.buckets import Refused
from vimeo_api.core.storage.folders import is_old, old_blobs, relative, remove_from
from vimeo_api.extensions import blobs, mount_check, settings

AGE_SECONDS = 24 * 3600  # longer than any request or fetch goes without writing
OVERDUE_SECONDS = 900  # longer than any retry is put off
SAMPLE = 100  # files whose digests each run checks
ROWS_PER_QUERY = 500

_log = logging.getLogger(__name__)

Repair = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: its kind, what it is about, and how to repair it, if that is possible."""

    kind: str
    about: str
    repair: Repair | None = None


def findings(*, age: float = AGE_SECONDS, sample: int = SAMPLE) -> Iterator[Finding]:
    """Yield all findings older than `age` seconds; the digests of `sample` random files are checked.

    The pending areas of other hosts are left to them. Raises Unavailable if the store is not mounted: every file would
    be missing.
    """
    mount_check.check()
    yield from findings_here(age=age)
    for store in blobs.stores.values():
        for surface, names in store.old_blobs(age):
            if surface in BY_SURFACE:  # a bucket may have folders of other programs
                yield from _orphans(store.name, surface, names)
    yield from _drafts(age)
    yield from _missing(age)
    yield from _overdue()
    yield from _damaged(sample)


def findings_here(*, age: float = AGE_SECONDS) -> Iterator[Finding]:
    """Yield what only this host can find: in its spool and its pending area."""
    yield from _leftovers(age)
    for surface, names in old_blobs(blobs.pending, age):
        yield from _orphans(PENDING, surface, names)


def repair(found: Iterable[Finding]) -> tuple[int, int]:
    """Repair what can be repaired; return how many findings were repaired and how many remain."""
    repaired = remaining = 0
    for finding in found:
        if finding.repair is None:
            remaining += 1
        else:
            finding.repair()
            repaired += 1
    return repaired, remaining


def _leftovers(age: float) -> Iterator[Finding]:
    for path in list(settings.spool_dir.iterdir()):
        blob = path.name.partition(".")[0].rpartition("-")[2]
        if is_old(path, age) and not (path.name.startswith(PARTIAL_PREFIX) and _is_fetched(blob)):
            yield Finding("leftover", f"spool/{path.name}", _removal(path))
    for path in expiry.leftovers():
        if is_old(path, age):
            yield Finding("leftover", f"spool/{parts.FOLDER}/{path.name}", _removal(path))


def _drafts(age: float) -> Iterator[Finding]:
    for path in blobs.filesystem.drafts():
        if is_old(path, age):
            yield Finding("draft", f"store/{path.parent.name}/{path.name}", _removal(path))
    if (remote := blobs.remote) is not None:
        try:
            for surface, multipart in remote.unfinished(age):
                if surface in BY_SURFACE:
                    yield Finding("draft", f"{remote.name}/{multipart.key}", partial(remote.abort, multipart))
        except Refused as error:  # a right of its own
            _log.warning("unfinished multipart uploads are not removed: %s", error)


def _orphans(where: str, surface: str, names: Sequence[str]) -> Iterator[Finding]:
    for blob in sorted(set(names) - _needed(where, surface, names)):
        yield Finding("orphan", f"{where}/{relative(surface, blob)}", _orphan_removal(where, surface, blob))


def _orphan_removal(where: str, surface: str, blob: str) -> Repair:
    def remove() -> None:
        with blobs.locked(surface, blob):
            if _needed(where, surface, [blob]):
                return
            if where == PENDING:
                remove_from(blobs.path(surface, blob, pending=True))
            else:
                blobs.stores[where].remove(surface, blob)

    return remove


def _removal(path: Path) -> Repair:
    return lambda: path.unlink(missing_ok=True)


def _missing(age: float) -> Iterator[Finding]:
    kept = File.status.in_((Status.AVAILABLE, Status.LEASED, Status.IN_DOUBT))
    served = (kept, File.created_at < now() - timedelta(seconds=age), _readable())
    for entry in _all(select(*COLUMNS).where(*served)):
        size = _size(entry)
        if size is None and _is_unchanged(entry):
            blobs.check(entry)  # the store may have been unmounted meanwhile
            yield Finding("missing", _name(entry))
        elif size is not None and size != entry.size:
            yield Finding("damaged", f"{_name(entry)}: {size} bytes instead of {entry.size}")


def _overdue() -> Iterator[Finding]:
    limit = now() - timedelta(seconds=OVERDUE_SECONDS)
    waiting = or_(
        and_(File.due_at < limit, File.purged_at.is_(None)), File.place_due_at < limit, File.expires_at < limit
    )
    for entry in _all(select(*COLUMNS).where(waiting)):
        yield Finding("overdue", f"{_name(entry)}: {entry.status}")


def _damaged(sample: int) -> Iterator[Finding]:
    known = (File.status == Status.AVAILABLE, File.digest.is_not(None), _readable())
    for entry in catalog.entries(select(*COLUMNS).where(*known).order_by(func.random()).limit(sample)):
        algorithm = (entry.digest or "").partition(":")[0]
        try:
            with blobs.opened(entry) as file:
                digest = hashlib.file_digest(file, algorithm).hexdigest()
        except (FileNotFoundError, Unavailable):
            continue  # reported by `_missing`, which looks at all files, or deleted meanwhile
        if entry.digest != f"{algorithm}:{digest}":
            yield Finding("damaged", f"{_name(entry)}: another {algorithm} than when it was stored")


def _readable() -> ColumnElement[bool]:
    """Return the condition that the bytes of a file are not in the pending area of another host."""
    return or_(File.pending.is_(False), hosts.here(File.host))


def _all(statement: statements.Query) -> Iterator[Entry]:
    """Yield the entries of a query by id, in batches, so that a million rows do not fill the memory."""
    last = 0
    while batch := catalog.entries(statement.where(File.id > last).order_by(File.id).limit(ROWS_PER_QUERY)):
        yield from batch
        last = batch[-1].id


def _size(entry: Entry) -> int | None:
    try:
        return blobs.size(entry)
    except FileNotFoundError:
        return None


def _is_unchanged(entry: Entry) -> bool:
    """Return whether a row is unchanged: neither deleted nor placed since we read it."""
    again = catalog.by_id(entry.id)
    return again is not None and (again.status, again.pending, again.store) == (
        entry.status,
        entry.pending,
        entry.store,
    )


def _name(entry: Entry) -> str:
    return f"file {entry.id} ({relative(entry.surface, entry.blob)})"


def _needed(where: str, surface: str, names: Sequence[str]) -> set[str]:
    """Return which of the blobs in a store or the pending area are needed there by a row."""
    known = select(File.blob).where(
        File.surface == surface, statements.among(File.blob, names), File.purged_at.is_(None)
    )
    if where != PENDING:
        known = known.where(or_(File.pending, File.store == where))
    else:
        # A placed and cleared file needs no bytes here; any that are here come from a second upload that was killed.
        placed = and_(File.status == Status.AVAILABLE, File.pending.is_(False), File.place_due_at.is_(None))
        known = known.where(not_(placed))
    return {row.blob for row in statements.rows(known)}


def _is_fetched(blob: str) -> bool:
    waiting = select(File.id).where(File.blob == blob, File.status == Status.FETCHING)
    return statements.row(waiting) is not None
