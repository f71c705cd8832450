"""What crashes and bad disks leave behind: found, reported, and repaired where nothing can be lost.

    leftover   bytes in the spool that no request receives any more          removed
    orphan     a blob in the store or pending area without a row             removed
    draft      a copy that a killed worker left                              removed
    missing    a row whose bytes are missing                                 reported: only a backup has them
    damaged    bytes with another digest or size than their row says         reported
    overdue    a row that has waited too long for the sweep                  left to the sweep, which may be stopped

It ignores whatever is younger than a given age, so it is safe beside a running service: an upload or a fetch writes
more often than that. `tasks.reconcile` repairs daily; `manage.py reconcile` shows what it would do before it does it.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, and_, func, not_, or_, select

from vimeo_api.core import hosts
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.fetching.partial_file import PARTIAL_PREFIX
from vimeo_api.core.files import catalog, placing
from vimeo_api.core.files.catalog import COLUMNS, Entry
from vimeo_api.core.storage.blobs import relative, remove_from
from vimeo_api.core.unfinished import expiry, parts
from vimeo_api.extensions import blobs, mount_check, settings

AGE_SECONDS = 24 * 3600  # longer than any request or fetch goes without writing
OVERDUE_SECONDS = 900  # longer than any retry is put off
SAMPLE = 100  # files whose digests each run checks
ROWS_PER_QUERY = 500

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
    for folder in _folders(blobs.store):
        yield from _orphans(folder, age)
    yield from _drafts(age)
    yield from _missing(age)
    yield from _overdue()
    yield from _damaged(sample)


def findings_here(*, age: float = AGE_SECONDS) -> Iterator[Finding]:
    """Yield what only this host can find: in its spool and its pending area."""
    yield from _leftovers(age)
    for folder in _folders(blobs.pending):
        yield from _orphans(folder, age)


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
        if _old(path, age) and not (path.name.startswith(PARTIAL_PREFIX) and _is_fetched(blob)):
            yield Finding("leftover", f"spool/{path.name}", _removal(path))
    for path in expiry.leftovers():
        if _old(path, age):
            yield Finding("leftover", f"spool/{parts.FOLDER}/{path.name}", _removal(path))


def _drafts(age: float) -> Iterator[Finding]:
    for path in placing.drafts():
        if _old(path, age):
            yield Finding("draft", f"store/{placing.DRAFTS}/{path.name}", _removal(path))


def _folders(root: Path) -> list[Path]:
    return [folder for folder in root.glob("*/*") if folder.is_dir() and folder.parent.name != placing.DRAFTS]


def _orphans(folder: Path, age: float) -> Iterator[Finding]:
    surface, root = folder.parent.name, folder.parents[1].name
    try:
        names = [path.name for path in folder.iterdir() if _old(path, age)]
    except FileNotFoundError:
        return  # removed meanwhile with its last file
    for blob in sorted(set(names) - _needed(folder, names)):
        yield Finding("orphan", f"{root}/{relative(surface, blob)}", _orphan_removal(folder / blob))


def _orphan_removal(path: Path) -> Repair:
    def remove() -> None:
        with blobs.locked(path.parents[1].name, path.name):
            if not _needed(path.parent, [path.name]):
                remove_from(path)

    return remove


def _removal(path: Path) -> Repair:
    return lambda: path.unlink(missing_ok=True)


def _missing(age: float) -> Iterator[Finding]:
    kept = File.status.in_((Status.AVAILABLE, Status.LEASED, Status.IN_DOUBT))
    served = (kept, File.created_at < now() - timedelta(seconds=age), _readable())
    for entry in _all(select(*COLUMNS).where(*served)):
        facts = _facts(entry)
        if facts is None and _still(entry):
            mount_check.check()  # the store may have been unmounted meanwhile
            yield Finding("missing", _name(entry))
        elif facts is not None and facts != entry.size:
            yield Finding("damaged", f"{_name(entry)}: {facts} bytes instead of {entry.size}")


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
            with blobs.opened(entry.surface, entry.blob, pending=entry.pending) as file:
                digest = hashlib.file_digest(file, algorithm).hexdigest()
        except FileNotFoundError:
            continue  # reported by `_missing`, or deleted meanwhile
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


def _facts(entry: Entry) -> int | None:
    try:
        return blobs.path(entry.surface, entry.blob, pending=entry.pending).stat().st_size
    except FileNotFoundError:
        return None


def _still(entry: Entry) -> bool:
    """Return whether a row is unchanged: neither deleted nor placed since we read it."""
    again = catalog.by_id(entry.id)
    return again is not None and (again.status, again.pending) == (entry.status, entry.pending)


def _name(entry: Entry) -> str:
    return f"file {entry.id} ({relative(entry.surface, entry.blob)})"


def _old(path: Path, age: float) -> bool:
    try:
        return path.is_file() and time.time() - path.lstat().st_mtime >= age
    except FileNotFoundError:
        return False


def _needed(folder: Path, names: Sequence[str]) -> set[str]:
    """Return which of the blobs in a folder of the store or the pending area are needed there by a row."""
    known = select(File.blob).where(
        File.surface == folder.parent.name, statements.among(File.blob, names), File.purged_at.is_(None)
    )
    if blobs.pending in folder.parents:
        # A placed and cleared file needs no bytes here; any that are here come from a second upload that was killed.
        placed = and_(File.status == Status.AVAILABLE, File.pending.is_(False), File.place_due_at.is_(None))
        known = known.where(not_(placed))
    return {row.blob for row in statements.rows(known)}


def _is_fetched(blob: str) -> bool:
    waiting = select(File.id).where(File.blob == blob, File.status == Status.FETCHING)
    return statements.row(waiting) is not None
