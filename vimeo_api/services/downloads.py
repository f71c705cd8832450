"""The use case of downloading: whether a file may be sent now, and to whom a one-time file is leased."""

import math

from vimeo_api.core import identifiers
from vimeo_api.core.access import passwords
from vimeo_api.core.clock import now
from vimeo_api.core.database.models import Status
from vimeo_api.core.deliveries import confirmations
from vimeo_api.core.deliveries.confirmations import Ticket
from vimeo_api.core.errors import FetchFailed, Gone, Leased, NotThere, StillFetching, WrongPassword
from vimeo_api.core.fetching import claims
from vimeo_api.core.files import catalog, leases
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.policy import Policy
from vimeo_api.extensions import settings

LONGEST_WAIT = 5  # seconds; a download often ends long before its lease would


def open_download(
    policy: Policy, key: str, *, password: str | None = None, resume_token: str | None = None, with_body: bool = True
) -> tuple[Entry, Ticket | None]:
    """Return a file that may be sent now; for the body of a one-time file, lease it and return a ticket too.

    A client shows `resume_token` to resume its own download. Without a body (HEAD) nothing is leased. Raises NotThere,
    Gone, StillFetching and FetchFailed; for a file that is there WrongPassword, then Leased; Unavailable if the end of
    the download could not be recorded.
    """
    if policy.one_time and with_body:
        confirmations.check_journal()
    if policy.one_time and with_body and password is None and resume_token is None and (first := _first(policy, key)):
        return first
    entry = _present(policy, key, resume_token)
    if not passwords.matches(entry.password_hash, password):
        raise WrongPassword(lasting=entry.status == Status.AVAILABLE)
    ticket = None
    if policy.one_time and with_body:
        # Once the file is used up, how a response ends changes nothing, so it needs no number.
        used_up = entry.status == Status.GONE
        ticket = Ticket(entry.id, entry.lease_token or "", 0) if used_up else _leased_ticket(entry, resume_token)
    return entry, ticket


def _first(policy: Policy, key: str) -> tuple[Entry, Ticket] | None:
    token = identifiers.random_hex()
    seconds = settings.lease_seconds + leases.FIRST_LEASE_BYTES / settings.lease_min_rate
    leased = leases.lease_first(policy.surface, key, token, seconds=seconds)
    return None if leased is None else (leased, Ticket(leased.id, token, leased.responses))


def _present(policy: Policy, key: str, resume_token: str | None) -> Entry:
    entry = catalog.find(policy.surface, key)
    if entry is not None and policy.one_time and entry.responses and entry.status in {Status.LEASED, Status.AVAILABLE}:
        # A download may have ended a moment ago, and its end may not be in the row yet.
        confirmations.endings.wait(entry.id)
        confirmations.catch_up()
        entry = catalog.find(policy.surface, key)
    if entry is None or (entry.expired and not policy.one_time):
        raise NotThere
    if entry.expired:
        raise Gone
    if entry.status == Status.FETCHING:
        raise StillFetching(claims.progress(entry))
    if entry.status == Status.FAILED:
        raise FetchFailed(entry.failure or "", entry.error or "")
    if entry.status == Status.GONE and not _in_grace(entry, resume_token):
        raise Gone
    return entry


def _in_grace(entry: Entry, resume_token: str | None) -> bool:
    if (
        entry.delivered_at is None
        or entry.purged_at is not None
        or resume_token is None
        or resume_token != entry.lease_token
    ):
        return False
    return (now() - entry.delivered_at).total_seconds() < settings.grace_seconds


def _leased_ticket(entry: Entry, resume_token: str | None) -> Ticket:
    token = resume_token if resume_token is not None and resume_token == entry.lease_token else identifiers.random_hex()
    response = leases.lease(entry.id, token, seconds=settings.lease_seconds + entry.size / settings.lease_min_rate)
    if response is None:
        raise Leased(_wait(entry))
    return Ticket(entry.id, token, response)


def _wait(entry: Entry) -> int:
    """Return after how many seconds to retry a leased file, at least one."""
    remaining = (entry.due_at - now()).total_seconds() if entry.due_at else 0
    return max(1, min(LONGEST_WAIT, math.ceil(remaining)))
