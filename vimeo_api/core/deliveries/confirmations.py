"""Record what was sent of one-time files, and decide: the file or a slot is used up, or the lease is given back.

In production nginx reports through its journal, in the embedded profile the response reports its own end; both
arrive here as a `Sent`. Handling one twice changes nothing.
"""

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from vimeo_api.core import hosts
from vimeo_api.core.clock import now
from vimeo_api.core.database import counters, statements
from vimeo_api.core.database.counters import Counted
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.database.statements import AnyRow
from vimeo_api.core.deliveries import attempts, journal, losses
from vimeo_api.core.deliveries.lines import Sent
from vimeo_api.core.files import catalog, leases, slot_leases
from vimeo_api.core.files.send_budget import Span, Spans
from vimeo_api.core.files.slot_leases import Report, Settled
from vimeo_api.core.files.slots import Slot
from vimeo_api.extensions import reservations, settings

LINE_DELAY = timedelta(seconds=1)  # far longer than nginx takes from the end of a response to its line

_log = logging.getLogger(__name__)
_RESERVATION = re.compile(r"reservation:([0-9a-f]{32})")  # of an upload that has ended


def catch_up() -> None:
    """Handle the journal lines written since the last call; without a journal (embedded) do nothing."""
    if settings.journal is not None:
        journal.read_new(settings.journal, lambda lines: handle(*_responses(lines)), lambda: losses.note("broken line"))


def read_journal() -> None:
    """Handle this host's journal up to now, and note whether it may have lost lines."""
    losses.note_boot()
    moment = now() - LINE_DELAY
    catch_up()
    if settings.journal is not None:
        if journal.is_losing(settings.journal):
            losses.note("full disk")
        for name in journal.broken_off(settings.journal):
            losses.note_once(f"file {name[:32]}")
    hosts.note(journal_read_at=moment)


def end_lapsed() -> int:
    """End the leases of this host that lapsed without a report; return how many. Read the journal first.

    Such a download used nothing up, unless its report may be lost: then the file is in doubt.
    """
    doubted, given_back = _end_ours(losses.last())
    if doubted:
        _log.warning("%d one-time downloads are in doubt: lines of the journal may be lost (manage.py doubts)", doubted)
    counters.add({Counted.DOUBTED: doubted})
    return given_back


def _end_ours(lost_until: datetime | None) -> tuple[int, int]:
    """End the leases that we may end; return how many are in doubt now, and how many were given back."""

    def is_doubtful(slot: Slot) -> bool | None:
        return _is_doubtful(slot.hosts, since=slot.since, until=slot.until)

    doubted, given_back = slot_leases.end_lapsed(is_doubtful)
    if lost_until is not None:
        doubted += leases.doubt_lapsed(lost_until)
    given_back += leases.give_back_lapsed(lost_until)
    for file in leases.lapsed_of_several():
        since, until = (moment.timestamp() if moment else 0.0 for moment in (file.leased_at, file.due_at))
        doubtful = _is_doubtful(file.lease_host, since=since, until=until)
        if doubtful is not None and leases.end(file, doubtful=doubtful):
            doubted, given_back = doubted + doubtful, given_back + (not doubtful)
    return doubted, given_back


def _is_doubtful(names: str | None, *, since: float, until: float) -> bool | None:
    """Return whether a report of a lapsed lease may be lost; None if that is not ours to say, or not yet.

    The host that renewed the lease last decides, once the others have read their journals beyond its end.
    """
    *others, last = hosts.of(names).split()
    if last != settings.host_name or (others and not hosts.have_read(others, datetime.fromtimestamp(until, UTC))):
        return None
    lost = [moment.timestamp() for name in (*others, last) if (moment := losses.last(name)) is not None]
    return any(since < moment for moment in lost)


def check_journal() -> None:
    """Raise Unavailable if the end of a download could not be recorded."""
    losses.note_boot()
    if settings.journal is not None:
        journal.check_writable(settings.journal)


def handle(*responses: Sent) -> None:
    """Use each file up if all its bytes were sent, else give its lease back; record each response as an attempt.

    Pass the oldest response first. Any number of responses takes only a few statements.
    """
    reports: dict[int, list[Sent]] = {}
    for sent in responses:
        reports.setdefault(sent.ticket.file_id, []).append(sent)
    files = _files(reports)
    used: dict[int, str] = {}
    confirmed = back = 0
    slots: dict[tuple[int, int], int] = {}
    for file_id, file in files.items():
        if file.downloads > 1:
            settled = _settle_slots(file_id, reports[file_id])
            confirmed += settled.used
            back += settled.given_back
            slots |= {(file_id, response): slot for response, slot in settled.slots.items()}
            continue
        completing, over, count = _record_sent(file, reports[file_id])
        if completing is not None:
            used[file_id] = completing.ticket.lease_token
        elif file.status != Status.GONE:
            back += any(
                leases.give_back(file_id, sent.ticket.lease_token, count, even_resumed=not sent.complete)
                for sent in reversed(over)
            )
    confirmed += len(leases.use_up_all(used, grace_seconds=settings.grace_seconds)) if used else 0
    ended = [(sent, sent.span) for file in files for sent in reports[file] if sent.span is not None]
    attempts.note(*(_attempt(sent, span, slots) for sent, span in ended))
    counters.add(Counter({Counted.CONFIRMED: confirmed, Counted.GIVEN_BACK: back}))


def _settle_slots(file_id: int, reports: list[Sent]) -> Settled:
    file = catalog.by_id(file_id)
    if file is None:
        return Settled(0, 0, {})
    said = [Report(sent.ticket.lease_token, sent.ticket.response, sent.span, sent.complete) for sent in reports]
    return slot_leases.settle(file, said, grace_seconds=settings.grace_seconds)


def _responses(lines: journal.Lines) -> Iterator[Sent]:
    for line in lines:
        if upload := _RESERVATION.fullmatch(str(line.get("ticket"))):
            reservations.release(upload[1])
            continue
        try:
            sent = Sent.from_journal(line)
        except (KeyError, ValueError):
            _log.warning("journal: skipped a line with a missing or invalid field")
            continue
        if sent is not None:
            yield sent


def _record_sent(file: AnyRow, reports: list[Sent]) -> tuple[Sent | None, list[Sent], int]:
    """Record what was sent of a file; return the first complete response after which all bytes are sent, if any.

    Other responses, under any token, may have sent some of the bytes. Also returns the responses that ended with this
    (none while another under the lease is running) and the total number of responses, from which `give_back` can tell
    whether a new one has begun.
    """
    if file.status != Status.GONE and len(reports) == 1 and _is_whole(reports[0], file.size):
        return reports[0], [], 0  # nearly always; the charge stands, for the bytes were sent
    found: AnyRow | None = file
    while found is not None:
        before = spans = Spans.read(found.spans, responses=found.responses, size=found.size)
        completing, ended = None, []
        for sent in reports:
            ended += [sent] if sent.ticket.response in spans.open else []
            spans = spans.settled(sent.ticket.response, sent.span)
            if completing is None and (_is_whole(sent, found.size) or (sent.complete and spans.covers(found.size))):
                completing = sent
        if spans is before or leases.settle(found.id, responses=found.responses, seen=found.spans, spans=spans):
            return completing, [] if spans.running else ended, found.responses
        found = _files([file.id]).get(file.id)  # the row changed; read it again
    return None, [], 0


def _is_whole(sent: Sent, size: int) -> bool:
    return sent.complete and sent.span == (0, size)


def _files(file_ids: Collection[int]) -> dict[int, AnyRow]:
    """Return what `handle` needs from the rows that exist."""
    columns = (File.id, File.size, File.status, File.responses, File.spans, File.downloads)
    return {row.id: row for row in statements.rows(select(*columns).where(statements.among(File.id, file_ids)))}


def _attempt(sent: Sent, span: Span, slots: Mapping[tuple[int, int], int]) -> dict[str, Any]:
    ended_at = sent.ended_at or now()
    return {
        "file_id": sent.ticket.file_id,
        "response": sent.ticket.response,
        "begun_at": None if sent.seconds is None else ended_at - timedelta(seconds=sent.seconds),
        "ended_at": ended_at,
        "start": span[0],
        "sent": span[1] - span[0],
        "complete": sent.complete,
        "slot": slots.get((sent.ticket.file_id, sent.ticket.response)),
    }
