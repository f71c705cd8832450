"""How many files there are, and which work is waiting; `tasks.count` counts, `web.monitoring.gauges` shows.

Counting files means reading the whole table. So a worker counts, in pieces and rarely enough to need only a small part
of one process, and stores the result in a row. Waiting work is read by index when it is asked for, because it matters
most when no worker runs.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, bindparam, case, func, select, text, update
from sqlalchemy.orm import InstrumentedAttribute

from vimeo_api.core import hosts
from vimeo_api.core.access import api_tokens
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import (
    File,
    LastFileStats,
    Receipt,
    ReceiptState,
    Status,
    Token,
    Upload,
    UtcDateTime,
)
from vimeo_api.core.files import lifecycle
from vimeo_api.core.policy import POLICIES
from vimeo_api.core.resumable.rows import UNFINISHED

_PAUSE_FACTOR = 20  # the next count is due after this many times the duration of the last one
_MIN_PAUSE = timedelta(seconds=5)
_COUNT_TIMEOUT = timedelta(minutes=10)  # then another worker may start a count; both results are right
_MAX_LEASES = 100_000  # counted by surface
_MAX_UNPLACED = 100_000
_ID = 1
# If several workers find the count due, only one changes the row.
_CLAIM = text(
    "INSERT INTO last_census (id, due_at, groups) VALUES (:id, :until, '[]') "
    "ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at WHERE last_census.due_at <= :moment"
).bindparams(bindparam("id", _ID), bindparam("until", type_=UtcDateTime), bindparam("moment", type_=UtcDateTime))
# SQLite uses no index for IS NOT NULL.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DUE = File.due_at > _EPOCH


@dataclass(frozen=True, slots=True)
class Group:
    """How many files of one kind there are, and their total bytes."""

    surface: str
    status: str
    fetched: bool
    claimed: bool
    failure: str | None
    files: int
    stored: int  # bytes
    token_id: int | None = None  # defaults: a count by an older release has no tokens
    charged: int = 0  # bytes, as they count for the token's quota


@dataclass(frozen=True, slots=True)
class TokenUse:
    """What an API token has stored, and how much it may."""

    name: str
    quota: int | None  # bytes
    files: int
    charged: int  # bytes, as they count for the quota


@dataclass(frozen=True, slots=True)
class FileStats:
    """How many files there are, and which work is waiting."""

    groups: Sequence[Group]  # all files by kind, as of the last count
    tokens: Sequence[TokenUse]  # every token that is valid or has files, as of the last count
    leases: dict[str, int]  # by surface, now
    uploads: dict[str, tuple[int, int]]  # by surface: unfinished resumable uploads and their bytes so far, now
    unplaced: tuple[int, int]  # files in the pending areas of all hosts and their bytes, now
    receipts: int  # waiting for their next try, now
    hosts: dict[str, float]  # by name: seconds since its last sweep
    waiting: dict[str, float]  # by kind of work: seconds that the oldest row has waited, 0 if no row waits


def read() -> FileStats:
    """Return the last count, and the leases and waiting work of this moment."""
    last = statements.row(select(LastFileStats.groups).where(LastFileStats.id == _ID))
    groups = [Group(*group) for group in last.groups] if last else []
    return FileStats(groups, _tokens(groups), _leases(), _uploads(), _unplaced(), _receipts(), _hosts(), _waiting())


def count() -> bool:
    """Count all files, if a count is due; return whether it was."""
    moment = now()
    if not statements.execute(_CLAIM.bindparams(until=moment + _COUNT_TIMEOUT, moment=moment)):
        return False
    begun = time.monotonic()
    groups = _groups()
    due_at = now() + max(_MIN_PAUSE, _PAUSE_FACTOR * timedelta(seconds=time.monotonic() - begun))
    statements.execute(update(LastFileStats).where(LastFileStats.id == _ID).values(groups=groups, due_at=due_at))
    return True


def _groups() -> list[tuple[Any, ...]]:
    kind = (
        File.surface,
        File.status,
        File.source_url.is_not(None).label("fetched"),
        File.lease_token.is_not(None).label("claimed"),
        File.failure,
        File.token_id,
    )
    stored = case((File.purged_at.is_(None), File.size), else_=0).label("stored")
    charged = case((File.token_id.is_not(None), api_tokens.charge()), else_=0).label("charged")
    files, sizes, charges = (Counter[tuple[Any, ...]]() for _ in range(3))
    last: int | None = 0
    while last is not None:
        piece = (
            select(File.id, *kind, stored, charged)
            .where(File.id > last)
            .order_by(File.id)
            .limit(statements.PIECE)
            .subquery()
        )
        kinds = [piece.c[column.key] for column in kind]
        totals = (func.sum(column).cast(BigInteger) for column in (piece.c.stored, piece.c.charged))
        sums = (func.count(), *totals, func.max(piece.c.id))
        last = None
        for *group, number, size, charge, highest in statements.rows(select(*kinds, *sums).group_by(*kinds)):
            files[tuple(group)] += number
            sizes[tuple(group)] += size
            charges[tuple(group)] += charge
            last = max(last or 0, highest)
    return [(*group[:-1], files[group], sizes[group], group[-1], charges[group]) for group in files]


def _tokens(groups: Sequence[Group]) -> list[TokenUse]:
    files, charged = Counter[int](), Counter[int]()
    for group in groups:
        if group.token_id is not None:
            files[group.token_id] += group.files
            charged[group.token_id] += group.charged
    return [
        TokenUse(token.name, token.quota, files[token.id], charged[token.id])
        for token in statements.rows(select(Token.id, Token.name, Token.quota, Token.expires_at, Token.revoked_at))
        if token.id in files or api_tokens.state(token.revoked_at, token.expires_at) == "valid"
    ]


def _leases() -> dict[str, int]:
    # The limit also keeps both databases from using an index on surfaces, which would read the whole table.
    leased = select(File.surface).where(File.status == Status.LEASED, _DUE).limit(_MAX_LEASES).subquery()
    found = statements.rows(select(leased.c.surface, func.count()).group_by(leased.c.surface))
    return {policy.surface: 0 for policy in POLICIES} | {row[0]: row[1] for row in found}


def _uploads() -> dict[str, tuple[int, int]]:
    unfinished = select(Upload.surface, func.count(), func.sum(Upload.offset).cast(BigInteger))
    found = statements.rows(unfinished.where(UNFINISHED).group_by(Upload.surface))
    return {policy.surface: (0, 0) for policy in POLICIES} | {row[0]: (row[1], row[2]) for row in found}


def _unplaced() -> tuple[int, int]:
    pending = select(File.size).where(File.pending, File.place_due_at > _EPOCH).limit(_MAX_UNPLACED).subquery()
    row = statements.row(
        select(func.count(pending.c.size), func.coalesce(func.sum(pending.c.size), 0).cast(BigInteger))
    )
    return (row[0], row[1]) if row else (0, 0)


def _receipts() -> int:
    waiting = select(func.count()).where(Receipt.due_at.is_not(None), Receipt.state == ReceiptState.WAITING)
    row = statements.row(waiting)
    return row[0] if row else 0


def _hosts() -> dict[str, float]:
    moment = now()
    return {host.name: max(0.0, (moment - host.seen_at).total_seconds()) for host in hosts.listing()}


def _waiting() -> dict[str, float]:
    moment = now()

    def since(begun: datetime | None, attempts: int = 0) -> float:
        # Each attempt has put off `due_at`, so add the delays back.
        return max(0.0, (moment - begun + attempts * lifecycle.RETRY).total_seconds()) if begun else 0.0

    unpurged = select(File.attempts, func.min(File.due_at)).where(File.status == Status.GONE, _DUE)
    due = statements.rows(unpurged.group_by(File.attempts))
    return {
        "fetch": since(_oldest(File.created_at, File.status == Status.FETCHING, File.lease_token.is_(None), _DUE)),
        "place": since(_oldest(File.created_at, File.pending.is_(True), File.place_due_at.is_not(None))),
        "join": since(_oldest(Upload.created_at, Upload.joined_keys.is_not(None), Upload.failure.is_(None))),
        "lease": since(_oldest(File.due_at, File.status == Status.LEASED, _DUE)),
        "purge": max((since(first, attempts) for attempts, first in due), default=0.0),
    }


def _oldest(moment: InstrumentedAttribute[Any], *conditions: ColumnElement[bool]) -> datetime | None:
    row = statements.row(select(func.min(moment)).where(*conditions))
    return row[0] if row else None
