"""What there is and what waits; `web.metrics` tells.

What there is can only be told by reading the whole table, so a worker does that, piece by piece and as rarely as keeps
its cost to a small part of one process, and keeps the result in a row. What waits is found by index at the moment of
the question: it must be true above all when no worker runs.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, bindparam, case, func, select, text, update
from sqlalchemy.orm import InstrumentedAttribute

from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, LastCensus, Status, UtcDateTime
from vimeo_api.core.files import lifecycle
from vimeo_api.core.policy import POLICIES

PIECE = 20_000  # rows read by one statement, so that none is a long one, however large the table
_COST = 20  # the next count is due after so many times as long as this one took
_SOONEST = timedelta(seconds=5)
_LOST = timedelta(minutes=10)  # a count that takes longer may be begun again by another worker; both are right
_MOST = 100_000  # leases that are told apart
_ID = 1
# Of several workers that find it due, one changes the row.
_CLAIM = text(
    "INSERT INTO last_census (id, due_at, groups) VALUES (:id, :until, '[]') "
    "ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at WHERE last_census.due_at <= :moment"
).bindparams(bindparam("id", _ID), bindparam("until", type_=UtcDateTime), bindparam("moment", type_=UtcDateTime))
# SQLite asks no index for IS NOT NULL.
_DUE = File.due_at > datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Group:
    """How many files there are of a kind, and with how many bytes in all."""

    surface: str
    status: str
    fetched: bool
    claimed: bool
    failure: str | None
    files: int
    stored: int  # bytes


@dataclass(frozen=True, slots=True)
class Census:
    """What there is and what waits."""

    groups: Sequence[Group]  # all files by kind, as of the last count
    leases: dict[str, int]  # by surface, at this moment
    waiting: dict[str, float]  # for how many seconds the oldest row waits for each kind of work, 0 if none does


def read() -> Census:
    """Return the last count, and what waits now."""
    last = statements.row(select(LastCensus.groups).where(LastCensus.id == _ID))
    return Census([Group(*group) for group in last.groups] if last else [], _leases(), _waiting())


def count() -> bool:
    """Count all files, if that is due; return whether it was."""
    moment = now()
    if not statements.changed(_CLAIM.bindparams(until=moment + _LOST, moment=moment)):
        return False
    begun = time.monotonic()
    groups = _groups()
    due_at = now() + max(_SOONEST, _COST * timedelta(seconds=time.monotonic() - begun))
    statements.changed(update(LastCensus).where(LastCensus.id == _ID).values(groups=groups, due_at=due_at))
    return True


def _groups() -> list[tuple[Any, ...]]:
    kind = (
        File.surface,
        File.status,
        File.source_url.is_not(None).label("fetched"),
        File.lease_token.is_not(None).label("claimed"),
        File.failure,
    )
    stored = case((File.purged_at.is_(None), File.size), else_=0).label("stored")
    files, sizes = Counter[tuple[Any, ...]](), Counter[tuple[Any, ...]]()
    last: int | None = 0
    while last is not None:
        piece = select(File.id, *kind, stored).where(File.id > last).order_by(File.id).limit(PIECE).subquery()
        kinds = [piece.c[column.key] for column in kind]
        sums = (func.count(), func.sum(piece.c.stored).cast(BigInteger), func.max(piece.c.id))
        last = None
        for *group, number, size, highest in statements.rows(select(*kinds, *sums).group_by(*kinds)):
            files[tuple(group)] += number
            sizes[tuple(group)] += size
            last = max(last or 0, highest)
    return [(*group, files[group], sizes[group]) for group in files]


def _leases() -> dict[str, int]:
    # The limit also keeps both databases from going by an index of surfaces, and so through the whole table.
    leased = select(File.surface).where(File.status == Status.LEASED, _DUE).limit(_MOST).subquery()
    found = statements.rows(select(leased.c.surface, func.count()).group_by(leased.c.surface))
    return {policy.surface: 0 for policy in POLICIES} | {row[0]: row[1] for row in found}


def _waiting() -> dict[str, float]:
    moment = now()

    def since(begun: datetime | None, attempts: int = 0) -> float:
        # Each attempt has put the next one off, and so the moment from which the work is due.
        return max(0.0, (moment - begun + attempts * lifecycle.RETRY).total_seconds()) if begun else 0.0

    unpurged = select(File.attempts, func.min(File.due_at)).where(File.status == Status.GONE, _DUE)
    due = statements.rows(unpurged.group_by(File.attempts))
    return {
        "fetch": since(_oldest(File.created_at, File.status == Status.FETCHING, File.lease_token.is_(None), _DUE)),
        "place": since(_oldest(File.created_at, File.pending.is_(True), File.place_due_at.is_not(None))),
        "lease": since(_oldest(File.due_at, File.status == Status.LEASED, _DUE)),
        "purge": max((since(first, attempts) for attempts, first in due), default=0.0),
    }


def _oldest(moment: InstrumentedAttribute[Any], *conditions: ColumnElement[bool]) -> datetime | None:
    row = statements.row(select(func.min(moment)).where(*conditions))
    return row[0] if row else None
