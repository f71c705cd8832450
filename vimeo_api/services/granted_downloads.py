"""Downloads in a browser: a page that says what a link holds, a grant for one browser, and how far its download is.

`views.vimeo.browsers` calls it; `downloads` leases.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from vimeo_api.core.access import grants, passwords
from vimeo_api.core.database.models import Status
from vimeo_api.core.deliveries import confirmations
from vimeo_api.core.deliveries.lines import Ticket
from vimeo_api.core.errors import Gone, InDoubt, NotFound, WrongPassword
from vimeo_api.core.files import catalog, slot_leases
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.files.slots import Hold
from vimeo_api.core.policy import Policy
from vimeo_api.services import downloads
from vimeo_api.services.downloads import SpanOf


class Progress(StrEnum):
    """How far the download under a grant is."""

    READY = "ready"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Granted:
    """A one-time file as the holder of a grant sees it."""

    entry: Entry
    progress: Progress
    done_at: datetime | None = None  # when this download was complete


def look(policy: Policy, key: str, *, password: str | None) -> tuple[Entry, bool]:
    """Return a one-time file that could be downloaded now, and whether the password it needs, if any, was given.

    It leases nothing. Raises NotFound and Gone; WrongPassword if one was given; then Locked, InDoubt and BudgetSpent,
    but not to a client that has not given the password.
    """
    entry = downloads.find(policy, key, None)
    if entry.password_hash is not None and password is None:
        return entry, False
    _check_free(entry, password)
    return entry, True


def grant(policy: Policy, key: str, *, password: str | None) -> str:
    """Return a grant, under which one browser can download a one-time file; nothing is leased yet. Raises as `look`."""
    entry = downloads.find(policy, key, None)
    _check_free(entry, password)
    return grants.new(entry.id)


def look_granted(policy: Policy, key: str, granted: str) -> Granted:
    """Return how far the download under a grant is. Raises NotFound, Gone, Locked and InDoubt."""
    entry = catalog.find(policy.surface, key)
    if entry is not None and downloads.may_have_moved(policy, entry):
        entry = catalog.find(policy.surface, key)
    if entry is None or not grants.is_genuine(entry.id, granted):
        raise NotFound
    if entry.downloads > 1:
        return _look_at_slot(entry, grants.token(granted))
    ours = entry.lease_token == grants.token(granted)
    if entry.status == Status.GONE and ours and entry.delivered_at is not None:
        return Granted(entry, Progress.DONE, entry.delivered_at)
    if entry.status == Status.GONE or entry.expired:
        raise Gone
    if not ours:
        downloads.choose_token(entry, None, "", math.inf)
        return Granted(entry, Progress.READY)
    if entry.status == Status.IN_DOUBT:
        raise InDoubt
    return Granted(entry, Progress.RUNNING if entry.status == Status.LEASED else Progress.INTERRUPTED)


def _look_at_slot(entry: Entry, token: str) -> Granted:
    slot = slot_leases.of(entry).taken.get(token)
    if slot and slot.hold is Hold.DONE:
        return Granted(entry, Progress.DONE, datetime.fromtimestamp(slot.since, UTC))
    if entry.status == Status.GONE or entry.expired:
        raise Gone
    if slot and slot.hold is Hold.HELD:
        return Granted(entry, Progress.RUNNING)
    downloads.choose_slot_token(entry, None, token, math.inf)
    return Granted(entry, Progress.READY)


def open_granted(
    policy: Policy, key: str, granted: str, *, with_body: bool = True, span_of: SpanOf | None = None
) -> tuple[Entry, Ticket | None]:
    """Return a one-time file for the holder of a grant, as `open_download` does."""
    if with_body:
        confirmations.check_journal()
    token = grants.token(granted)
    entry = downloads.find(policy, key, token)
    if not grants.is_genuine(entry.id, granted):
        raise NotFound
    if not with_body:
        return entry, None
    return downloads.lease_or_resume(policy, entry, token, span_of or downloads.whole, own=token)


def _check_free(entry: Entry, password: str | None) -> None:
    if not passwords.matches(entry.password_hash, password):
        raise WrongPassword(lasting=entry.status == Status.AVAILABLE)
    downloads.choose_token(entry, None, "", math.inf)
    downloads.check_budget(entry, (0, entry.size))
