"""Leases of the slots of a file for several downloads; `leases` does the same for a file with one.

The row holds all slots (`slots`) and what was sent (`send_budget`). Each change reads the row, works out the new
state, and writes it by one UPDATE, which does nothing if the row has changed meanwhile. So no more clients get a slot
than there are slots, and a report is counted exactly once: together with the number of its response.

The status of such a file: `leased` while anybody holds a slot, `gone` once all slots are used up, else `available`,
even if only slots in doubt are left.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Update, select, update

from vimeo_api import logs
from vimeo_api.core import hosts
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.files import catalog, lifecycle
from vimeo_api.core.files.catalog import COLUMNS, Entry
from vimeo_api.core.files.lifecycle import Move
from vimeo_api.core.files.send_budget import Span, Spans
from vimeo_api.core.files.slots import Hold, Slot, Slots
from vimeo_api.extensions import settings


@dataclass(frozen=True, slots=True)
class Report:
    """How a response under a lease ended."""

    lease_token: str
    response: int
    span: Span | None  # the bytes that were sent
    complete: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """What reports have changed: how many slots were used up and given back, and the slot of each response."""

    used: int
    given_back: int
    slots: dict[int, int]


def of(file: Entry) -> Slots:
    """Return the slots of a file; for one with a single download, only the number of downloads is meaningful."""
    return Slots.read(file.slots, file.downloads)


def lease(seen: Entry, lease_token: str, span: Span, *, seconds: float, longest: float) -> int | None:
    """Take a slot for a response with this span, or renew the lease of the token's own; see `leases.lease`.

    The caller has seen that a slot is free, or that the token holds one.
    """
    moment = now().timestamp()
    held = of(seen).taken.get(lease_token)
    until = min(moment + seconds, (held.since if held else moment) + longest)
    response = seen.responses + 1
    by = hosts.joined(held.hosts) if held else settings.host_name
    slots = of(seen).leased(lease_token, response, moment=moment, until=until, hosts=by)
    spans = Spans.read(seen.spans, responses=seen.responses, size=seen.size).charged(response, span)
    return response if _write(seen, slots, spans, responses=response) else None


def settle(seen: Entry, reports: Iterable[Report], *, grace_seconds: float) -> Settled:
    """Record how responses of a file ended, the oldest first: each uses a slot up, gives it back, or changes nothing.

    A response is recorded once, so reports may come again. A complete one uses a slot up if it sent the whole file, or
    if all responses together have now sent every byte once more than there are slots used up.
    """
    reports = list(reports)
    file: Entry | None = seen
    while file is not None:
        before = slots = of(file)
        spans = Spans.read(file.spans, responses=file.responses, size=file.size)
        moment = now().timestamp()
        until = moment + grace_seconds
        numbers: dict[int, int] = {}
        given_back = 0
        opened = spans
        for report in reports:
            holder = slots.taken.get(report.lease_token)
            if report.response in spans.open:
                spans = spans.settled(report.response, report.span)
                whole = report.span == (0, file.size)
                if report.complete and (whole or spans.covers(file.size, times=slots.used + 1)):
                    slots = slots.completed(report.lease_token, moment=moment, until=until)
                    holder = slots.taken.get(report.lease_token)
                else:
                    kept = slots.given_back(report.lease_token, report.response, even_resumed=not report.complete)
                    given_back += len(kept.free) > len(slots.free)
                    slots = kept
            if holder is not None:
                numbers[report.response] = holder.number
        if spans is opened or _write(file, slots, spans, grace_seconds=grace_seconds):
            return Settled(slots.used - before.used, given_back, numbers)
        file = catalog.by_id(file.id)
    return Settled(0, 0, {})


def end_lapsed(is_doubtful: Callable[[Slot], bool | None]) -> tuple[int, int]:
    """End the leases that have lapsed; return how many slots are in doubt now, and how many were given back.

    `is_doubtful` says whether the report of a lease may be lost; None where it may still come, or others decide.
    """
    return _end(is_doubtful, now().timestamp(), File.due_at <= now())


def doubt(reports: Callable[[Slot], bool]) -> int:
    """Put slots in doubt that are held and whose report will not come; return how many."""
    return _end(lambda slot: True if reports(slot) else None, math.inf)[0]


def _end(
    is_doubtful: Callable[[Slot], bool | None], moment: float, *conditions: ColumnElement[bool]
) -> tuple[int, int]:
    """End the leases that are over at a moment, of the files that meet the conditions; return as `end_lapsed`."""
    doubted = given_back = 0
    leased = (File.status == Status.LEASED, File.downloads > 1, *conditions)
    for file in catalog.entries(select(*COLUMNS).where(*leased)):
        found: Entry | None = file
        while found is not None and found.status == Status.LEASED:
            before = of(found)
            after = before.lapsed(moment=moment, is_doubtful=is_doubtful)
            if after == before:
                break
            if _write(found, after, None):
                new = after.count(Hold.IN_DOUBT) - before.count(Hold.IN_DOUBT)
                doubted += new
                given_back += before.count(Hold.HELD) - after.count(Hold.HELD) - new
                break
            found = catalog.by_id(found.id)
    return doubted, given_back


def decide(file_id: int, *, used: bool) -> bool:
    """Make the slots in doubt free again, or count them as used up; return whether there were any."""
    while (file := catalog.by_id(file_id)) is not None and (before := of(file)).count(Hold.IN_DOUBT):
        if _write(file, before.decided(used=used), None, grace_seconds=0):
            return True
    return False


def _write(
    seen: Entry,
    slots: Slots,
    spans: Spans | None,
    *,
    responses: int | None = None,
    grace_seconds: float = 0,
) -> bool:
    """Write the new state of a file; return False if its row has changed since it was read.

    A file that is gone stays so: only what its running downloads have sent is written.
    """
    moment = now()
    values: dict[str, object] = {
        "slots": str(slots),
        "doubtful": slots.count(Hold.IN_DOUBT),
        "slots_used": slots.used,
    }
    if spans is not None:
        values["spans"] = str(spans)
    if responses is not None:
        values["responses"] = responses
    these = (
        File.id == seen.id,
        File.responses == seen.responses,
        File.spans == seen.spans,
        File.slots == seen.slots,
    )
    move = _move(seen, slots)
    if move is Move.USE_UP:
        due_at = moment + timedelta(seconds=grace_seconds)
        values |= {"delivered_at": moment, "due_at": due_at, "attempts": 0}
    elif move is not None:
        values["due_at"] = None if slots.due is None else datetime.fromtimestamp(slots.due, UTC)
    if not statements.execute(_update(seen, move, these).values(**values)):
        return False
    if move is not None:
        lifecycle.make_refusals_stale(seen, move)
    if move is Move.USE_UP:
        logs.note("used up", surface=seen.surface, file=seen.id)
    return True


def _update(seen: Entry, move: Move | None, these: tuple[ColumnElement[bool], ...]) -> Update:
    if move is None:
        return update(File).where(File.status == seen.status, *these)
    return lifecycle.moving(move, File.status == seen.status, *these)


def _move(seen: Entry, slots: Slots) -> Move | None:
    """Return the move to the status that these slots mean, None to stay as it is."""
    if seen.status == Status.GONE:
        return None
    if not slots.left:
        return Move.USE_UP
    if slots.count(Hold.HELD):
        return Move.LEASE
    return Move.GIVE_BACK if seen.status == Status.LEASED else None
