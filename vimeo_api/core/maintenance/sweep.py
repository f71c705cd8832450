"""The guarantee behind every fast path: due work is found in the rows, whatever happened to messages and workers.

`tasks.sweep` and `tasks.delete` call it. A sweep of an idle service reads the logs of nginx and runs one statement
(`look`). Only if that finds work does it look for each kind.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Boolean, bindparam, exists, not_, or_, select, text

from vimeo_api.core import hosts
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import (
    OWES_RECEIPTS,
    File,
    LastFileStats,
    QueuedFetch,
    Receipt,
    Status,
    Upload,
    UtcDateTime,
)
from vimeo_api.core.database.prepared import Prepared
from vimeo_api.core.deliveries import confirmations
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.files import catalog, digests, lifecycle, placing
from vimeo_api.core.files.catalog import COLUMNS, Entry
from vimeo_api.core.policy import POLICIES
from vimeo_api.core.resumable import adoption
from vimeo_api.extensions import blobs, mount_check, settings

# The surfaces where several files may share one blob.
_SHARED = frozenset(policy.surface for policy in POLICIES if policy.by_content)

_MOMENT = bindparam("moment", type_=UtcDateTime)
# What each step of a sweep needs at least, on any host: where this is false, none of them finds anything.
_WORK = or_(
    # Leases, fetches, removals. `due_at` of an available file only puts off its digest.
    exists().where(File.due_at <= _MOMENT, File.status != Status.AVAILABLE),
    exists().where(File.expires_at <= _MOMENT),
    exists().where(File.place_due_at <= _MOMENT),
    exists().where(bindparam("digests", type_=Boolean), *digests.ready(_MOMENT)),
    exists().where(QueuedFetch.file_id.is_not(None)),
    exists().where(Upload.expires_at <= _MOMENT),
    exists().where(Upload.joined_keys.is_not(None), Upload.failure.is_(None)),
    exists().where(File.id.is_not(None), text(OWES_RECEIPTS)),
    exists().where(Receipt.due_at <= _MOMENT),
)
_LOOK = Prepared(select(_WORK, not_(exists().where(LastFileStats.due_at > _MOMENT))))

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Due:
    """What a sweep has to do."""

    work: bool  # something that a step of it may find, here or on another host
    count: bool  # `file_stats.count`


def read_logs() -> None:
    """Handle what nginx has logged on this host: how downloads ended, and what came of uploads that broke off."""
    confirmations.read_journal()
    adoption.catch_up()


def look() -> Due:
    """Return whether there is anything to do."""
    row = _LOOK.row({"moment": now(), "digests": settings.digests})
    return Due(*map(bool, row or (True, True)))


def settle_leases() -> int:
    """End the lapsed leases of this host and expire files; return how many leases lapsed."""
    lapsed = confirmations.end_lapsed()
    lifecycle.expire()
    return lapsed


def due_here(limit: int) -> Sequence[int]:
    """Return the ids of files whose bytes are due for removal and have a copy in this host's pending area."""
    return lifecycle.due_purges(limit, catalog.in_pending_area(), hosts.here(File.host))


def due_anywhere(limit: int) -> Sequence[int]:
    """Return the ids of files whose bytes are due for removal and lie in no pending area."""
    return lifecycle.due_purges(limit, not_(catalog.in_pending_area()))


def purge(file_ids: Sequence[int]) -> None:
    """Remove the bytes of these files if they are gone, and record it. Safe to run twice."""
    gone = (statements.among(File.id, file_ids), File.status == Status.GONE, File.purged_at.is_(None))
    remove_bytes(*catalog.entries(select(*COLUMNS).where(*gone)))


def remove_bytes(*gone: Entry) -> list[Entry]:
    """Remove the bytes of files that are gone, and record it; return the files for which that failed.

    After a crash between the two, the bytes are removed and the row is still due. Bytes that another file shares by
    digest stay. A copy in the pending area of another host is left to that host, which then records the removal.
    """
    try:
        mount_check.check()
        removed = _removed(gone)
        mount_check.check()  # else bytes that were away would count as removed
    except Unavailable as error:
        _log.warning("the bytes of %d files are not removed: %s", len(gone), error)
        return list(gone)
    lifecycle.purged([file for file in removed if not file.in_pending_area or hosts.is_here(file.host)])
    done = {file.id for file in removed}
    return [file for file in gone if file.id not in done]


def _removed(gone: Sequence[Entry]) -> list[Entry]:
    """Remove the bytes of files; return those for which that worked. The others become due again.

    Sweeps share their workers with removals, so once an object store has not answered, the rest of a batch waits, too.
    """
    removed = []
    for file in gone:
        try:
            blobs.check(file)  # an object store may not be set any more
            needed = _removed_here(file)
        except (Unavailable, OSError) as error:
            _log.warning("the bytes of file %d are not removed: %s", file.id, error)
            continue
        try:
            if not needed:
                blobs.remove_remote(file.surface, file.blob)
        except Unavailable as error:
            _log.warning("the bytes of file %d are not removed: %s", file.id, error)
            break
        removed.append(file)
    return removed


def _removed_here(file: Entry) -> bool:
    """Remove the bytes of a file from the folders of this host; return whether another file needs them in the store."""
    with blobs.locked(file.surface, file.blob):
        if file.surface in _SHARED and catalog.live_blobs(file.surface, [file.blob]):
            placing.clear(file.surface, file.blob)
            return True
        blobs.unpublish(file.surface, file.blob)
    return False
