"""Leases of one-time files: take one for a download, give it back, or use the file up.

`services.downloads` takes leases; `core.deliveries` ends them by what the journal says. Each change is one statement.
Files for several downloads have several leases at once, see `slot_leases`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, bindparam, case, or_, select, update

from vimeo_api import logs
from vimeo_api.core import hosts
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.database.prepared import Prepared
from vimeo_api.core.files import cache_generations, catalog, lifecycle, slot_leases
from vimeo_api.core.files.catalog import COLUMNS, Entry
from vimeo_api.core.files.lifecycle import Move
from vimeo_api.core.files.send_budget import Span, Spans
from vimeo_api.extensions import settings

FIRST_LEASE_BYTES = 64 * 1024  # of the largest file that `lease_first` leases

_LEASE = Prepared(
    lifecycle.moving(
        Move.LEASE,
        File.id == bindparam("file"),
        # No other response was charged since the row was read.
        File.responses == bindparam("seen_responses"),
        File.spans == bindparam("seen_spans"),
        or_(
            File.status == Status.AVAILABLE,
            File.lease_token == bindparam("taker"),  # its holder renews it
        ),
        lease_token=bindparam("taker"),
        lease_host=bindparam("by_hosts"),
        due_at=bindparam("until"),
        leased_at=bindparam("since"),
        spans=bindparam("charged"),
        responses=File.responses + 1,
        resumed=case((File.lease_token == bindparam("taker"), True), else_=False),
    ).returning(*COLUMNS)
)

# Serves most one-time downloads: the first one of a small file without a password, in one round trip.
_LEASE_FIRST = Prepared(
    lifecycle.moving(
        Move.LEASE,
        File.surface == bindparam("in_surface"),
        File.key == bindparam("of_key"),
        File.downloads == 1,
        File.password_hash.is_(None),
        File.size <= FIRST_LEASE_BYTES,
        or_(File.expires_at.is_(None), File.expires_at > bindparam("moment")),
        or_(
            and_(File.status == Status.AVAILABLE, File.responses == 0),
            # The statement was repeated because its result was lost: it is still about the first response.
            and_(
                File.status == Status.LEASED,
                File.lease_token == bindparam("taker"),
                File.responses == 1,
                File.spans == "",
            ),
        ),
        lease_token=bindparam("taker"),
        lease_host=bindparam("by_host"),
        due_at=bindparam("until"),
        leased_at=bindparam("moment"),
        responses=1,
    ).returning(*COLUMNS)
)


def lease(seen: Entry, lease_token: str, span: Span, *, seconds: float, longest: float) -> int | None:
    """Take the lease of a one-time file that is available, or renew it under its own token.

    `span` is what the response may send. Under one token the lease ends at most `longest` seconds after it was first
    taken. Returns the number of the response, or None if the row has changed since it was read or another token holds
    the lease.
    """
    if seen.downloads > 1:
        return slot_leases.lease(seen, lease_token, span, seconds=seconds, longest=longest)
    moment = now()
    same = seen.lease_token == lease_token and seen.leased_at is not None
    since = seen.leased_at if same and seen.leased_at else moment
    values = {
        "file": seen.id,
        "seen_responses": seen.responses,
        "seen_spans": seen.spans,
        "taker": lease_token,
        "by_hosts": hosts.joined(seen.lease_host) if same else settings.host_name,
        "since": since,
        "until": min(moment + timedelta(seconds=seconds), since + timedelta(seconds=longest)),
        "charged": str(spans_of(seen).charged(seen.responses + 1, span, begins=not same)),
    }
    row = _LEASE.row(values)
    if row is None:
        return None
    leased = Entry(*row)
    lifecycle.make_refusals_stale(leased, Move.LEASE)
    return leased.responses


def response_under(file: Entry, new_token: str) -> int | None:
    """Return the number of the response that took a lease under a token that nobody else knows, if one did.

    So it was our own UPDATE, whose result was lost.
    """
    if file.downloads > 1:
        slot = slot_leases.of(file).taken.get(new_token)
        return max(slot.running, default=None) if slot else None
    return file.responses if file.status == Status.LEASED and file.lease_token == new_token else None


def resume(seen: Entry, span: Span) -> int | None:
    """In the grace period, let a client that used up the file or a slot of it resume; charge this span.

    Returns the number of the response, or None if the row has changed since it was read.
    """
    charged = spans_of(seen).charged(seen.responses + 1, span)
    unchanged = (*_unchanged(seen.id, seen.responses, seen.spans), File.slots == seen.slots)
    resumed = update(File).where(*unchanged, File.status == seen.status)
    row = statements.row(resumed.values(responses=File.responses + 1, spans=str(charged)).returning(File.responses))
    return row.responses if row else None


def spans_of(file: Entry) -> Spans:
    """Return which bytes of a file were sent or may be on their way."""
    return Spans.read(file.spans, responses=file.responses, size=file.size)


def settle(file_id: int, *, responses: int, seen: str, spans: Spans) -> bool:
    """Record what responses have sent; return False if the row has changed since it was read."""
    return bool(statements.execute(update(File).where(*_unchanged(file_id, responses, seen)).values(spans=str(spans))))


def _unchanged(file_id: int, responses: int, spans: str) -> tuple[ColumnElement[bool], ...]:
    return File.id == file_id, File.responses == responses, File.spans == spans


def lease_first(surface: str, key: str, lease_token: str, *, seconds: float) -> Entry | None:
    """Take the lease of a small one-time file without a password that was never leased before.

    Returns None for any other file, such as one for several downloads; `catalog.find` and `lease` handle those.
    """
    moment = now()
    until = moment + timedelta(seconds=seconds)
    values = {
        "in_surface": surface,
        "of_key": key,
        "taker": lease_token,
        "by_host": settings.host_name,
        "moment": moment,
        "until": until,
    }
    row = _LEASE_FIRST.row(values)
    return Entry(*row) if row else None


def give_back(file_id: int, lease_token: str, responses: int, *, even_resumed: bool) -> bool:
    """End a lease without using the file up, unless there are more responses than those that are known to have ended.

    A completed range does not end a resumed lease: other ranges may be in progress.
    """
    conditions = [File.lease_token == lease_token, File.responses == responses]
    if not even_resumed:
        conditions.append(File.resumed.is_(False))
    return lifecycle.advance(file_id, Move.GIVE_BACK, *conditions, due_at=None, resumed=False) is not None


def give_back_lapsed(lost_until: datetime | None) -> int:
    """End the leases of this host that have lapsed, except those whose report may be lost; return how many."""
    certain = [] if lost_until is None else [or_(File.leased_at.is_(None), File.leased_at >= lost_until)]
    # Streams in queues have no `leased_at` and need no report, so any host may end their leases.
    ours = or_(File.leased_at.is_(None), hosts.here(File.lease_host))
    return lifecycle.advance_all(Move.GIVE_BACK, *_lapsed(), ours, *certain, due_at=None, resumed=False)


def doubt_lapsed(lost_until: datetime) -> int:
    """Mark files as in doubt that this host leased before `lost_until`, and of which no report came; return how many.

    They cannot be downloaded until their owner decides. Streams in queues have no `leased_at` and need no report.
    """
    lost = (File.leased_at < lost_until, hosts.here(File.lease_host))
    return lifecycle.advance_all(Move.DOUBT, *_lapsed(), *lost, due_at=None, resumed=False)


def lapsed_of_several() -> list[Entry]:
    """Return the files whose lease lapsed after several hosts had a part in it, this one the last."""
    ours = File.lease_host.endswith(f" {settings.host_name}", autoescape=True)
    return catalog.entries(select(*COLUMNS).where(File.status == Status.LEASED, *_lapsed(), ours))


def end(seen: Entry, *, doubtful: bool) -> bool:
    """End a lease as it was seen: the file is in doubt or available; return whether it was still so."""
    same = (File.lease_token == seen.lease_token, File.responses == seen.responses)
    move = Move.DOUBT if doubtful else Move.GIVE_BACK
    return lifecycle.advance(seen.id, move, *same, due_at=None, resumed=False) is not None


def _lapsed() -> tuple[ColumnElement[bool], ...]:
    return File.downloads == 1, File.due_at <= now()


def release(file_id: int) -> bool:
    """Make a file in doubt, or its slots in doubt, available again; return whether there was a doubt."""
    return lifecycle.advance(file_id, Move.RELEASE) is not None or slot_leases.decide(file_id, used=False)


def use_up(file_id: int, lease_token: str, *, grace_seconds: float) -> bool:
    """Mark a one-time file as delivered under this token; its bytes are removed after the grace period.

    This also holds if the lease has lapsed or another client has it: a client that has all bytes has used the file up.
    """
    return bool(use_up_all({file_id: lease_token}, grace_seconds=grace_seconds))


def use_up_all(lease_tokens: Mapping[int, str], *, grace_seconds: float) -> list[int]:
    """Mark files as delivered, given each id's lease token; return the ids that changed.

    One statement for the files last leased under their token, and one for the others, because the journal may report
    hundreds per second.
    """
    rows = _used_up(lease_tokens, grace_seconds, statements.among(File.lease_token, lease_tokens.values()))
    others = {file: lease_tokens[file] for file in lease_tokens.keys() - {row.id for row in rows}}
    if others:  # another client took the lease over, or the file is already used up
        rows += _used_up(others, grace_seconds, lease_token=case(others, value=File.id))
    cache_generations.renew_all([(row.surface, row.key) for row in rows if row.key is not None])
    for row in rows:
        logs.note("used up", surface=row.surface, file=row.id)
    return [row.id for row in rows]


def _used_up(
    lease_tokens: Mapping[int, str],
    grace_seconds: float,
    *conditions: ColumnElement[bool],
    **values: ColumnElement[str],
) -> list[statements.AnyRow]:
    moment = now()
    moved = lifecycle.moving(
        Move.USE_UP,
        statements.among(File.id, lease_tokens),
        *conditions,
        delivered_at=moment,
        due_at=moment + timedelta(seconds=grace_seconds),
        attempts=0,
        **values,
    )
    return list(statements.rows(moved.returning(File.id, File.surface, File.key)))
