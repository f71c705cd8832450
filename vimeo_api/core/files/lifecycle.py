"""The states of a file and every move between them.

Each move is one UPDATE that names the states it may start from; of several that compete, the database lets one
through, and whoever gets its row back is the winner.

    fetching → available | failed
    available → leased → available (given back) | gone → purged
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, or_, select, update

from vimeo_api.core import identifiers
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import DeliveredRange, File, Status
from vimeo_api.core.database.prepared import Prepared
from vimeo_api.core.files import cache_generations, catalog
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.policy import POLICIES

# to → from. `fetching`, `queues.take` and the statements of a lease keep to it with UPDATEs of their own.
MOVES: dict[Status, frozenset[Status]] = {
    Status.LEASED: frozenset({Status.AVAILABLE, Status.LEASED}),
    Status.FETCHING: frozenset(),  # every fetch begins as a row of its own
    Status.FAILED: frozenset({Status.FETCHING}),
    Status.AVAILABLE: frozenset({Status.FETCHING, Status.LEASED}),
    Status.GONE: frozenset({Status.AVAILABLE, Status.LEASED, Status.FAILED}),
}

# What a refused client is told may change from here on.
_CHANGES_REFUSALS = frozenset({Status.GONE, Status.FAILED})
# From a lease on the file may be used up without our knowing yet, so a remembered 401 could hide a 410; `downloads`
# lets none be remembered while it lasts. Of a file without a password there is no 401.
_CHANGES_401 = frozenset({Status.LEASED, Status.AVAILABLE})

RETRY = timedelta(seconds=60)  # between two attempts at the same work


_RETURNED = (File.surface, File.key, File.responses, File.password_hash)

# Without IN, which is spelt out each time.
_LEASE = Prepared(
    update(File)
    .where(
        File.id == bindparam("file"),
        or_(
            File.status == Status.AVAILABLE,
            and_(
                File.status == Status.LEASED,
                or_(File.due_at <= bindparam("moment"), File.lease_token == bindparam("taker")),
            ),
        ),
    )
    .values(
        status=Status.LEASED,
        lease_token=bindparam("taker"),
        due_at=bindparam("until"),
        responses=File.responses + 1,
        resumed=case((File.lease_token == bindparam("taker"), True), else_=False),
    )
    .returning(*_RETURNED)
)

SMALL = 64 * 1024  # bytes


class FirstLease(NamedTuple):
    """What a first download needs to know of its file."""

    id: int
    blob: str
    pending: bool
    name: str
    size: int
    content_type: str | None
    digest: str | None
    expires_at: datetime | None
    responses: int


# Most one-time downloads: the first one of a small file without a password, found and leased in one round trip.
_FIRST_LEASE = Prepared(
    update(File)
    .where(
        File.surface == bindparam("in_surface"),
        File.key == bindparam("of_key"),
        File.password_hash.is_(None),
        File.size <= SMALL,
        or_(File.expires_at.is_(None), File.expires_at > bindparam("moment")),
        or_(
            and_(File.status == Status.AVAILABLE, File.responses == 0),
            # Where the statement was repeated after its result got lost.
            and_(File.status == Status.LEASED, File.lease_token == bindparam("taker")),
        ),
    )
    .values(
        status=Status.LEASED,
        lease_token=bindparam("taker"),
        due_at=bindparam("until"),
        responses=File.responses + 1,
    )
    .returning(*(getattr(File, name) for name in FirstLease._fields))
)


def advance(file_id: int, to: Status, *conditions: ColumnElement[bool], **values: Any) -> int | None:
    """Move a file to a status if it is in one that leads there and the conditions hold.

    Returns the file's number of responses after the move, or None if somebody else was first.
    """
    moved = statements.row(
        update(File)
        .where(File.id == file_id, File.status.in_(MOVES[to]), *conditions)
        .values(status=to, **values)
        .returning(*_RETURNED)
    )
    return None if moved is None else _moved(*moved, to=to)


def _moved(surface: str, key: str | None, responses: int, password_hash: str | None, *, to: Status) -> int:
    """Make refusals stale that a move has made wrong, and return the file's number of responses."""
    changes = to in _CHANGES_REFUSALS or (to in _CHANGES_401 and password_hash is not None)
    if changes and key is not None:
        cache_generations.renew(surface, key)
    return responses


def lease(file_id: int, lease_token: str, *, seconds: float) -> int | None:
    """Take, take over once lapsed, or renew under the same token the lease of a one-time file.

    Returns the number of the response that may now be sent, or None while another token holds the lease.
    """
    moment = now()
    values = {"file": file_id, "taker": lease_token, "moment": moment, "until": moment + timedelta(seconds=seconds)}
    moved = _LEASE.row(values)
    return None if moved is None else _moved(*moved, to=Status.LEASED)


def lease_first(surface: str, key: str, lease_token: str, *, seconds: float) -> FirstLease | None:
    """Take the lease of a small one-time file without a password that nobody has asked for before.

    Returns None for any other file, which `catalog.find` and `lease` are for.
    """
    moment = now()
    until = moment + timedelta(seconds=seconds)
    values = {"in_surface": surface, "of_key": key, "taker": lease_token, "moment": moment, "until": until}
    leased = _FIRST_LEASE.row(values)
    return None if leased is None else FirstLease(*leased)


def give_back(file_id: int, lease_token: str, response: int, *, even_resumed: bool) -> bool:
    """End a lease without using the file up, if `response` is still the last one under this token.

    A lease that its holder has resumed is kept after a range that ended well, since others may be under way.
    """
    conditions = [File.status == Status.LEASED, File.lease_token == lease_token, File.responses == response]
    if not even_resumed:
        conditions.append(File.resumed.is_(False))
    return advance(file_id, Status.AVAILABLE, *conditions, due_at=None, resumed=False) is not None


def use_up(file_id: int, lease_token: str, *, grace_seconds: float) -> bool:
    """Note that a one-time file was delivered under this token; its bytes are due once the grace period is over.

    The lease may have lapsed meanwhile, or be another's: who has all bytes has used the file up.
    """
    return bool(use_up_all({file_id: lease_token}, grace_seconds=grace_seconds))


def use_up_all(lease_tokens: Mapping[int, str], *, grace_seconds: float) -> list[int]:
    """Note, as `use_up` does, that files were delivered, each under the token by its id; return which of them.

    In one statement for all that were last leased under their token, and one for the others, since a journal may tell
    of hundreds in a second.
    """
    moment = now()
    values = {
        "status": Status.GONE,
        "delivered_at": moment,
        "due_at": moment + timedelta(seconds=grace_seconds),
        "attempts": 0,
    }
    rows = _moved_all(lease_tokens, values, statements.among(File.lease_token, lease_tokens.values()))
    others = {file: lease_tokens[file] for file in lease_tokens.keys() - {row.id for row in rows}}
    if others:  # taken over by somebody else, or used up already
        rows += _moved_all(others, values | {"lease_token": case(others, value=File.id)})
    cache_generations.renew_all([(row.surface, row.key) for row in rows if row.key is not None])
    return [row.id for row in rows]


def _moved_all(
    files: Iterable[int], values: Mapping[str, Any], *conditions: ColumnElement[bool]
) -> list[statements.AnyRow]:
    moved = update(File).where(statements.among(File.id, files), File.status.in_(MOVES[Status.GONE]), *conditions)
    return list(statements.rows(moved.values(values).returning(File.id, File.surface, File.key)))


def remove(entry: Entry, *, receipt: str | None = None) -> bool:
    """Take a file away at its owner's word; its key is free again, its bytes are due at once.

    A receipt must still be the one of whoever has taken the stream last.
    """
    if receipt is not None and receipt != entry.lease_token:
        return False
    conditions = [] if receipt is None else [File.lease_token == receipt]
    mark = identifiers.random_hex() if receipt is None else receipt
    values: dict[str, Any] = {"key": None, "queue": None, "due_at": now(), "attempts": 0}
    if receipt is None:  # a receipt that is right stands there already; another may be too long for the column
        values["lease_token"] = mark
    removed = advance(entry.id, Status.GONE, *conditions, **values) is not None or _removed_under(entry.id, mark)
    if removed:
        cache_generations.renew(entry.surface, entry.key)
    return removed


def _removed_under(file_id: int, mark: str) -> bool:
    """Return whether a file was removed under our mark, by a statement whose result got lost."""
    ours = (File.id == file_id, File.status == Status.GONE, File.lease_token == mark, File.key.is_(None))
    return statements.row(select(File.id).where(*ours)) is not None


def expire(*conditions: ColumnElement[bool]) -> int:
    """Take away all files whose time is over, of those that the conditions hold; return how many.

    Their keys are free again, but for those of one-time files, whose links say 410 for ever.
    """
    over = (File.status.in_(MOVES[Status.GONE]), File.expires_at <= now(), *conditions)
    one_time = File.surface.in_([policy.surface for policy in POLICIES if policy.one_time])
    return statements.changed(
        update(File)
        .where(*over)
        .values(
            status=Status.GONE,
            key=case((one_time, File.key), else_=None),
            queue=None,
            due_at=now(),
            expires_at=None,
            attempts=0,
        )
    )


def prolong(surface: str, key: str, expires_at: datetime | None) -> bool:
    """Let a file that is stored again live as long as if it were new; return whether it is there."""
    these = (File.surface == surface, File.key == key, catalog.alive())
    prolonged = statements.changed(update(File).where(*these).values(expires_at=expires_at)) > 0
    if prolonged:
        cache_generations.renew(surface, key)  # its time may have been over for others
    return prolonged


def give_back_lapsed() -> int:
    """End all leases whose time is over; return how many."""
    return statements.changed(
        update(File)
        .where(File.status == Status.LEASED, File.due_at <= now())
        .values(status=Status.AVAILABLE, due_at=None, resumed=False)
    )


def claim_purges(limit: int) -> Sequence[int]:
    """Return the ids of files whose bytes are due for removal, and put their next attempt off.

    Whoever claims must remove and then call `purged`; if it dies in between, they are due again by themselves.
    """
    due = (File.status == Status.GONE, File.purged_at.is_(None), File.due_at <= now())
    values = {"attempts": File.attempts + 1, "due_at": now() + RETRY}
    return catalog.claim(*due, order=File.due_at, limit=limit, values=values)


def purged(file_ids: Sequence[int]) -> None:
    """Note that the bytes of these files are removed from the store; a row without a key has no more use."""
    these = statements.among(File.id, file_ids)
    over = select(File.id).where(these, File.status == Status.GONE)
    statements.changed(delete(DeliveredRange).where(DeliveredRange.file_id.in_(over)))
    statements.changed(delete(File).where(these, File.status == Status.GONE, File.key.is_(None)))
    statements.changed(
        update(File)
        .where(these, File.status == Status.GONE, File.purged_at.is_(None))
        .values(purged_at=now(), due_at=None, place_due_at=None, token_id=None)
    )
