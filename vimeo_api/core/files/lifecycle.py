"""The states of a file, and the table of moves between them.

    fetching → available | failed
    available → leased → available (given back) | gone | in doubt → purged once it is gone
    in doubt → available (released by its owner) | gone

Every change of `files.status` is an UPDATE that `moving` builds from the table. If several compete, one succeeds: the
caller that gets the row back. `leases`, `queues` and `claims` call this.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, Update, bindparam, case, delete, or_, select, update

from vimeo_api import logs
from vimeo_api.core import identifiers
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import Attempt, File, Status
from vimeo_api.core.database.prepared import Prepared
from vimeo_api.core.files import cache_generations, catalog
from vimeo_api.core.files.catalog import COLUMNS, Entry
from vimeo_api.core.policy import POLICIES

_ONE_TIME = frozenset(policy.surface for policy in POLICIES if policy.one_time)
RETRY = timedelta(seconds=60)  # between two attempts at the same purge


class Move(Enum):
    """The table of moves: the states in which each may start, and the one in which it ends."""

    WORK = (Status.FETCHING,), Status.FETCHING  # a worker claims a fetch, renews its claim or loses it
    FINISH = (Status.FETCHING,), Status.AVAILABLE
    FAIL = (Status.FETCHING,), Status.FAILED
    LEASE = (Status.AVAILABLE, Status.LEASED), Status.LEASED
    GIVE_BACK = (Status.LEASED,), Status.AVAILABLE
    DOUBT = (Status.LEASED,), Status.IN_DOUBT  # the lease lapsed, and the line that reports the download may be lost
    RELEASE = (Status.IN_DOUBT,), Status.AVAILABLE  # its owner decides
    # The lease may have lapsed before the journal was read.
    USE_UP = (Status.AVAILABLE, Status.LEASED, Status.IN_DOUBT), Status.GONE
    # By its owner, or because it has expired.
    REMOVE = (Status.AVAILABLE, Status.LEASED, Status.IN_DOUBT, Status.FAILED), Status.GONE

    def __init__(self, starts: tuple[Status, ...], end: Status) -> None:
        """Name the two halves of a row."""
        self.starts = starts
        self.end = end


# These moves change what a refused client is told.
_CHANGES_REFUSALS = frozenset({Status.GONE, Status.FAILED})
# A leased file may be used up before we learn of it, so a cached 401 could hide a 410. Hence 401s are not cached during
# a lease, and earlier ones become stale. Files without a password never get 401.
_CHANGES_401 = frozenset({Status.LEASED, Status.AVAILABLE})


_NOTED = {Move.FINISH: "fetched", Move.FAIL: "fetch failed", Move.REMOVE: "deleted"}
_NOTED_OF_JOINS = {Move.FINISH: "joined", Move.FAIL: "join failed"}


def moving(move: Move, *conditions: ColumnElement[bool], **values: Any) -> Update:
    """Return the UPDATE of a move, for all files that are in one of its start states and meet the conditions."""
    starts = or_(*(File.status == start for start in move.starts))  # SQLAlchemy would render an IN anew each time
    return update(File).where(starts, *conditions).values(status=move.end, **values)


def _removing(*conditions: ColumnElement[bool]) -> Prepared:
    """Return the UPDATE that removes a file at its owner's request."""
    moved = moving(
        Move.REMOVE,
        File.id == bindparam("file"),
        *conditions,
        key=bindparam("kept_key"),
        queue=None,
        due_at=bindparam("moment"),
        removed_at=bindparam("moment"),
        attempts=0,
        lease_token=bindparam("mark"),
    )
    return Prepared(moved.returning(*COLUMNS))


_FORGET = Prepared(delete(File).where(File.id == bindparam("file"), File.status == Status.GONE).returning(File.id))
_REMOVE = _removing()
_CONFIRM = _removing(File.lease_token == bindparam("mark"))


def advance(file_id: int, move: Move, *conditions: ColumnElement[bool], **values: Any) -> Entry | None:
    """Make a move with one file; return its new row, or None if it is in another state or fails the conditions."""
    moved = catalog.first(moving(move, File.id == file_id, *conditions, **values).returning(*COLUMNS))
    if moved is not None:
        _note(moved, move)
    return moved


def _note(moved: Entry, move: Move) -> None:
    make_refusals_stale(moved, move)
    if move in _NOTED:
        size = None if move is Move.FAIL else moved.size
        action = _NOTED[move] if moved.source_url is not None else _NOTED_OF_JOINS.get(move, _NOTED[move])
        logs.note(action, surface=moved.surface, file=moved.id, bytes=size, failure=moved.failure)


def advance_all(move: Move, *conditions: ColumnElement[bool], **values: Any) -> int:
    """Make a move with all matching files; return how many.

    Renews no cache generation, so the caller must renew them if the move makes a cached refusal wrong.
    """
    return statements.execute(moving(move, *conditions, **values))


def make_refusals_stale(moved: Entry, move: Move) -> None:
    """Make the cached refusals stale that a move has made wrong."""
    changes = move.end in _CHANGES_REFUSALS or (move.end in _CHANGES_401 and moved.password_hash is not None)
    if changes and moved.key is not None:
        cache_generations.renew(moved.surface, moved.key)


def remove(entry: Entry) -> Entry | None:
    """Remove a file at its owner's request; return its new row, or None if it was gone already.

    Its bytes are due for removal at once. Its key is free again, except for a one-time file, whose link returns 410
    forever.
    """
    return _remove(_REMOVE, entry, identifiers.random_hex(), entry.key if entry.surface in _ONE_TIME else None)


def confirm(entry: Entry, receipt: str) -> Entry | None:
    """Remove a stream for the consumer that took it, if its receipt is the latest one; return as `remove`."""
    return _remove(_CONFIRM, entry, receipt, None) if receipt == entry.lease_token else None


def _remove(statement: Prepared, entry: Entry, mark: str, key: str | None) -> Entry | None:
    row = statement.row({"file": entry.id, "kept_key": key, "moment": now(), "mark": mark})
    removed = Entry(*row) if row else _removed_under(entry.id, mark, key)
    if removed is not None:
        _note(removed, Move.REMOVE)
        cache_generations.renew(entry.surface, entry.key)
    return removed


def _removed_under(file_id: int, mark: str, key: str | None) -> Entry | None:
    """Return a file that was removed under our mark, by a statement whose result was lost."""
    ours = (
        File.id == file_id,
        File.status == Status.GONE,
        File.lease_token == mark,
        File.key.is_not_distinct_from(key),
    )
    return catalog.first(select(*COLUMNS).where(*ours))


def expire(*conditions: ColumnElement[bool]) -> int:
    """Expire all matching files whose time is up; return how many.

    Their keys are free again, except for one-time files, whose links return 410 forever. No cache generation is
    renewed: clients have been refused since `expires_at`, before the row changes.
    """
    one_time = File.surface.in_(sorted(_ONE_TIME))
    return advance_all(
        Move.REMOVE,
        File.expires_at <= now(),
        *conditions,
        key=case((one_time, File.key), else_=None),
        queue=None,
        due_at=now(),
        expires_at=None,
        expired_at=File.expires_at,
        attempts=0,
    )


def limit(file_ids: Sequence[int], expires_at: datetime) -> int:
    """Set when files expire, in place of what was set before; return how many there are."""
    these = (statements.among(File.id, file_ids), File.status != Status.GONE, catalog.alive())
    limited = statements.rows(update(File).where(*these).values(expires_at=expires_at).returning(File.id, File.surface))
    for row in limited:
        logs.note("expiry set", surface=row.surface, file=row.id)
    return len(limited)


def prolong(surface: str, key: str, expires_at: datetime | None) -> bool:
    """Set when a file that is stored again expires, as if it were new; return whether it exists."""
    these = (File.surface == surface, File.key == key, catalog.alive())
    prolonged = statements.execute(update(File).where(*these).values(expires_at=expires_at)) > 0
    if prolonged:
        cache_generations.renew(surface, key)  # clients may have been told that it expired
    return prolonged


def due_purges(limit: int, *conditions: ColumnElement[bool]) -> Sequence[int]:
    """Return the ids of files whose bytes are due for removal, and postpone their next attempt.

    The caller must remove the bytes and then call `purged`; if it dies in between, they become due again.
    """
    due = (File.status == Status.GONE, File.purged_at.is_(None), File.due_at <= now(), *conditions)
    values = {"attempts": File.attempts + 1, "due_at": now() + RETRY}
    return catalog.put_off(*due, order=File.due_at, limit=limit, values=values)


def purged(files: Sequence[Entry]) -> None:
    """Record that the bytes of these files are removed; delete the rows without a key, which nobody can ask for.

    Pass entries that were read after the files were gone: from then on a row's key does not change.
    """
    over = [file.id for file in files if file.key is None]
    attempted = [file.id for file in files if file.key is None and file.responses]
    kept = [file.id for file in files if file.key is not None]
    if attempted:
        gone = select(File.id).where(statements.among(File.id, attempted), File.status == Status.GONE)
        statements.execute(delete(Attempt).where(Attempt.file_id.in_(gone)))
    if len(over) == 1:
        _FORGET.row({"file": over[0]})
    elif over:
        statements.execute(delete(File).where(statements.among(File.id, over), File.status == Status.GONE))
    if kept:
        these = (statements.among(File.id, kept), File.status == Status.GONE, File.purged_at.is_(None))
        values = {"purged_at": now(), "due_at": None, "place_due_at": None, "host": None, "token_id": None}
        statements.execute(update(File).where(*these).values(values))
