"""The use case of downloading: whether a file may be sent now, and to whom a one-time file is leased.

Views call `open_download`; `granted_downloads` has what only a browser needs.
"""

import math
from collections.abc import Callable

from vimeo_api.core import identifiers
from vimeo_api.core.access import passwords
from vimeo_api.core.clock import now
from vimeo_api.core.database.models import Status
from vimeo_api.core.deliveries import confirmations, endings
from vimeo_api.core.deliveries.lines import Ticket
from vimeo_api.core.errors import (
    BudgetSpent,
    FetchFailed,
    Gone,
    InDoubt,
    Locked,
    NotFound,
    StillFetching,
    WrongPassword,
)
from vimeo_api.core.fetching import claims
from vimeo_api.core.files import catalog, leases, slot_leases
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.files.send_budget import Span
from vimeo_api.core.files.slots import Hold
from vimeo_api.core.policy import Policy
from vimeo_api.extensions import settings

SpanOf = Callable[[Entry], Span | None]

_UNDECIDED = frozenset({Status.AVAILABLE, Status.LEASED, Status.IN_DOUBT})  # the journal may know more
LONGEST_WAIT = 5  # seconds; a download often ends long before its lease would


def open_download(
    policy: Policy,
    key: str,
    *,
    password: str | None = None,
    resume_token: str | None = None,
    with_body: bool = True,
    span_of: SpanOf | None = None,
) -> tuple[Entry, Ticket | None]:
    """Return a file that may be sent now; for bytes of a one-time file, lease it and return a ticket too.

    A client sends `resume_token` to resume its own download. Without a body (HEAD) nothing is leased. `span_of` returns
    the bytes that the client asks for, None for none; without it, all of them. Raises NotFound, Gone, StillFetching and
    FetchFailed; for a stored file WrongPassword, then Locked or InDoubt, then BudgetSpent; Unavailable if the end of
    the download could not be recorded.
    """
    taking = policy.one_time and with_body
    if taking:
        confirmations.check_journal()
    plain = password is None and resume_token is None and span_of is None
    if taking and plain and (first := _lease_first(policy, key)):
        return first
    entry = find(policy, key, resume_token)
    if not passwords.matches(entry.password_hash, password):
        raise WrongPassword(lasting=entry.status == Status.AVAILABLE)
    return lease_or_resume(policy, entry, resume_token, span_of or whole) if taking else (entry, None)


def left(entry: Entry) -> int:
    """Return how many more times a one-time file can be downloaded."""
    if entry.status == Status.GONE or entry.expired:
        return 0
    return slot_leases.of(entry).left


def _lease_first(policy: Policy, key: str) -> tuple[Entry, Ticket] | None:
    token = identifiers.random_hex()
    seconds = settings.lease_seconds + leases.FIRST_LEASE_BYTES / settings.lease_min_rate
    leased = leases.lease_first(policy.surface, key, token, seconds=seconds)
    return None if leased is None else (leased, Ticket(leased.id, token, leased.responses))


def may_have_moved(policy: Policy, entry: Entry) -> bool:
    """Record the ends of downloads that may not be in a file's row yet; return whether to read the row again."""
    if not (policy.one_time and entry.responses and entry.status in _UNDECIDED):
        return False
    endings.wait(entry.id)
    if entry.status == Status.LEASED and entry.due_at is not None and entry.due_at <= now():
        confirmations.read_journal()
        confirmations.end_lapsed()
    else:
        confirmations.catch_up()
    return True


def find(policy: Policy, key: str, resume_token: str | None) -> Entry:
    """Return a file that is there for the holder of a token. Raises as `open_download`, locks and passwords apart."""
    entry = catalog.find(policy.surface, key)
    if entry is not None and not _has_slots(entry, resume_token) and may_have_moved(policy, entry):
        entry = catalog.find(policy.surface, key)
    if entry is None or (entry.expired and not policy.one_time):
        raise NotFound
    if entry.expired:
        raise Gone
    if entry.status == Status.FETCHING:
        raise StillFetching(claims.progress(entry))
    if entry.status == Status.FAILED:
        raise FetchFailed(entry.failure or "", entry.error or "")
    if entry.status == Status.GONE and not _in_grace(entry, resume_token):
        raise Gone
    return entry


def _has_slots(entry: Entry, resume_token: str | None) -> bool:
    """Return whether the ends of other downloads need not be known, because slots are left anyway."""
    return entry.downloads > 1 and resume_token is None and slot_leases.of(entry).is_open


def _in_grace(entry: Entry, resume_token: str | None) -> bool:
    if entry.downloads > 1:
        slot = slot_leases.of(entry).taken.get(resume_token or "")
        in_time = slot is not None and slot.hold is Hold.DONE and now().timestamp() < slot.until
        return in_time and entry.purged_at is None
    if (
        entry.delivered_at is None
        or entry.purged_at is not None
        or resume_token is None
        or resume_token != entry.lease_token
    ):
        return False
    return (now() - entry.delivered_at).total_seconds() < settings.grace_seconds


def lease_or_resume(
    policy: Policy, entry: Entry, resume_token: str | None, span_of: SpanOf, *, own: str | None = None
) -> tuple[Entry, Ticket | None]:
    """Charge what the response may send and take the lease, a new one under `own`.

    Retry: the row changed between read and UPDATE.
    """
    new = identifiers.random_hex()
    own = own or new
    while (span := span_of(entry)) is not None:
        resumes = entry.status == Status.GONE or (entry.downloads > 1 and _in_grace(entry, resume_token))
        ticket = _resume(entry, span, resume_token) if resumes else _lease(entry, span, resume_token, own)
        if ticket is not None:
            return entry, ticket
        entry = find(policy, entry.key, resume_token)
        if (response := leases.response_under(entry, new)) is not None:
            return entry, Ticket(entry.id, new, response)
    return entry, None


def _resume(entry: Entry, span: Span, resume_token: str | None) -> Ticket | None:
    """Return a ticket for the client that used up a file or slot, in the grace period; None if its row has changed."""
    check_budget(entry, span)
    response = leases.resume(entry, span)
    return None if response is None else Ticket(entry.id, resume_token or "", response)


def _lease(entry: Entry, span: Span, resume_token: str | None, own: str) -> Ticket | None:
    """Take or renew the lease; return a ticket, or None if the row has changed since it was read."""
    seconds = settings.lease_seconds + entry.size / settings.lease_min_rate
    longest = settings.vimeo.budget * seconds
    token = choose_token(entry, resume_token, own, longest)
    check_budget(entry, span)
    response = leases.lease(entry, token, span, seconds=seconds, longest=longest)
    return None if response is None else Ticket(entry.id, token, response)


def choose_token(entry: Entry, resume_token: str | None, own: str, longest: float) -> str:
    """Return the token for the lease. Raises Locked, InDoubt and, for a grant whose time is over, BudgetSpent.

    A holder whose time is up gets a new token. If the row has `own`, our UPDATE succeeded but its result was lost.
    """
    if entry.downloads > 1:
        return choose_slot_token(entry, resume_token, own, longest)
    if entry.status == Status.IN_DOUBT:
        raise InDoubt
    moment = now()
    if entry.lease_token is not None and entry.lease_token in {resume_token, own}:
        since = entry.leased_at or moment
        if (moment - since).total_seconds() < longest:
            return entry.lease_token
        if entry.lease_token == own:
            raise BudgetSpent("This download is over.")
    elif entry.status == Status.LEASED:
        raise Locked(_wait(entry))
    return own


def choose_slot_token(entry: Entry, resume_token: str | None, own: str, longest: float) -> str:
    """Return the token for a slot, as `choose_token` does."""
    slots = slot_leases.of(entry)
    moment = now().timestamp()
    for token in filter(None, (own, resume_token)):
        slot = slots.taken.get(token)
        if slot and slot.hold is Hold.HELD and moment - slot.since < longest:
            return token
    mine = slots.taken.get(own)
    if mine is None and slots.is_open:
        return own
    if mine and mine.hold is not Hold.IN_DOUBT:
        raise BudgetSpent("This download is over.")
    if mine or slots.due is None:
        raise InDoubt
    raise Locked(_seconds_until(slots.due))


def check_budget(entry: Entry, span: Span) -> None:
    """Raise BudgetSpent if a byte would leave more often than the budget times the file's downloads."""
    if leases.spans_of(entry).most(span) >= settings.vimeo.budget * entry.downloads:
        raise BudgetSpent


def whole(entry: Entry) -> Span:
    """Return the span of all bytes, which a request without a range asks for."""
    return 0, entry.size


def _wait(entry: Entry) -> int:
    return _seconds_until(entry.due_at.timestamp() if entry.due_at else 0)


def _seconds_until(due: float) -> int:
    """Return after how many seconds to retry a leased file, at least 1."""
    return max(1, min(LONGEST_WAIT, math.ceil(due - now().timestamp())))
