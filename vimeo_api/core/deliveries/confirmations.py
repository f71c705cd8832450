"""What was sent of one-time files, and what follows: the file is used up, or its lease is given back.

In production nginx reports through its journal, in the embedded profile the response reports its own end; both
arrive here as a `Sent`. Handling one twice changes nothing.
"""

import logging
import re
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from vimeo_api.core.database import counters, statements
from vimeo_api.core.database.counters import Counted
from vimeo_api.core.database.models import DeliveredRange, File, Status
from vimeo_api.core.deliveries import journal
from vimeo_api.core.files import leases
from vimeo_api.extensions import reservations, settings

_log = logging.getLogger(__name__)
# Numbers as nginx and `str` write them, and that a column can hold.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_TICKET = re.compile(r"(0|[1-9][0-9]{0,17}):([0-9a-f]{32}):(0|[1-9][0-9]{0,8})")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/[0-9]{1,18}")
_RESERVATION = re.compile(r"reservation:([0-9a-f]{32})")  # of an upload that is over
_OK, _PARTIAL = 200, 206
ENDING_SECONDS = 1  # how long a request that meets a lease waits for a download that is about to end


@dataclass(frozen=True, slots=True)
class Ticket:
    """Which response is meant: the file, the lease, and the number of the response; nginx carries it as text."""

    file_id: int
    lease_token: str
    response: int

    def __str__(self) -> str:
        """Return the ticket as the journal has it."""
        return f"{self.file_id}:{self.lease_token}:{self.response}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the ticket that `str` wrote, or None for any other text."""
        match = _TICKET.fullmatch(text)
        return cls(int(match[1]), match[2], int(match[3])) if match else None


@dataclass(frozen=True, slots=True)
class Sent:
    """How one response with bytes of a one-time file ended."""

    ticket: Ticket
    span: tuple[int, int] | None  # the bytes that went out: the first, and the one after the last
    complete: bool  # the server handed over all that it meant to

    @classmethod
    def from_journal(cls, line: Mapping[str, Any]) -> Self | None:
        """Return what a line of nginx's journal says, or None if it is about no response with a body.

        Raises KeyError and ValueError for a line that nginx cannot have written.
        """
        ticket = Ticket.parse(str(line["ticket"]))
        if ticket is None or line["method"] != "GET":
            return None
        span = _span(_number(line["status"]), _number(line["sent"]), str(line["range"]))
        return cls(ticket, span, complete=line["completion"] == "OK")


def _number(value: object) -> int:
    if not (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise ValueError(value)
    return int(value)


def _span(status: int, sent: int, content_range: str) -> tuple[int, int] | None:
    if status == _OK:
        return (0, sent)
    match = _CONTENT_RANGE.fullmatch(content_range)
    if status == _PARTIAL and match and sent == int(match[2]) + 1 - int(match[1]):
        return (int(match[1]), int(match[2]) + 1)
    return None


def catch_up() -> None:
    """Handle what nginx has written down since; the embedded profile has no journal and nothing to do."""
    if settings.journal is not None:
        journal.read_new(settings.journal, lambda lines: handle(*_responses(lines)))


def check_journal() -> None:
    """Raise Unavailable where it could not be noted how a download ends."""
    if settings.journal is not None:
        journal.check_writable(settings.journal)


class Endings:
    """Responses of this process whose last piece is being written, so that a client that has it may be back already."""

    def __init__(self) -> None:
        """Begin with none."""
        self._files: Counter[int] = Counter()
        self._ended = threading.Condition()

    def begin(self, file_id: int) -> None:
        """Note it before the last piece is written."""
        with self._ended:
            self._files[file_id] += 1

    def end(self, file_id: int) -> None:
        """Note that the response has been handled."""
        with self._ended:
            self._files[file_id] -= 1
            self._files += Counter()  # drops what is back at zero
            self._ended.notify_all()

    def wait(self, file_id: int) -> None:
        """Wait for the responses of a file that are ending; not long, for the last piece may be stuck as any other."""
        with self._ended:
            self._ended.wait_for(lambda: not self._files[file_id], timeout=ENDING_SECONDS)


endings = Endings()


def handle(*responses: Sent) -> None:
    """Use each file up if all its bytes went out under this lease, else give the lease back.

    The oldest response comes first; several take a few statements for all.
    """
    sizes = _sizes({sent.ticket.file_id for sent in responses})
    used: dict[int, str] = {}
    back = 0
    for sent in responses:
        ticket, size = sent.ticket, sizes.get(sent.ticket.file_id)
        if size is None:
            continue
        if _whole_file(sent, size):
            used.setdefault(ticket.file_id, ticket.lease_token)
        elif ticket.file_id not in used:
            back += leases.give_back(
                ticket.file_id, ticket.lease_token, ticket.response, even_resumed=not sent.complete
            )
    confirmed = 0
    if used:
        confirmed = len(leases.use_up_all(used, grace_seconds=settings.grace_seconds))
        _forget_ranges(used)  # a crash before this leaves them until the purge
    counters.add(Counter({Counted.CONFIRMED: confirmed, Counted.GIVEN_BACK: back}))


def _responses(lines: journal.Lines) -> Iterator[Sent]:
    for line in lines:
        if upload := _RESERVATION.fullmatch(str(line.get("ticket"))):
            reservations.release(upload[1])
            continue
        try:
            sent = Sent.from_journal(line)
        except (KeyError, ValueError):
            _log.warning("journal: a line lacks a number; passed over")
            continue
        if sent is not None:
            yield sent


def _whole_file(sent: Sent, size: int) -> bool:
    if not sent.complete or sent.span is None:
        return False
    return sent.span == (0, size) or _covered(_spans_with(sent.ticket, sent.span), size)


def _spans_with(ticket: Ticket, span: tuple[int, int]) -> list[tuple[int, int]]:
    values = {"file_id": ticket.file_id, "lease_token": ticket.lease_token, "start": span[0], "stop": span[1]}
    try:
        statements.changed(insert(DeliveredRange).values(values))
    except IntegrityError:
        _log.debug("journal: a range is read again")
    # Ranges under an earlier lease will never add up; its holder would be given a new token.
    statements.changed(
        delete(DeliveredRange).where(
            DeliveredRange.file_id == ticket.file_id, DeliveredRange.lease_token != ticket.lease_token
        )
    )
    mine = (DeliveredRange.file_id == ticket.file_id, DeliveredRange.lease_token == ticket.lease_token)
    return [
        (row.start, row.stop) for row in statements.rows(select(DeliveredRange.start, DeliveredRange.stop).where(*mine))
    ]


def _covered(spans: list[tuple[int, int]], size: int) -> bool:
    reached = 0
    for start, stop in sorted(spans):
        if start > reached:
            return False
        reached = max(reached, stop)
    return reached >= size


def _sizes(file_ids: Collection[int]) -> dict[int, int]:
    """Return the sizes of those of the files that are not used up yet; of the others nothing follows."""
    open_ones = select(File.id, File.size).where(statements.among(File.id, file_ids), File.status != Status.GONE)
    return {row.id: row.size for row in statements.rows(open_ones)}


def _forget_ranges(file_ids: Collection[int]) -> None:
    """Forget what was sent of files that are used up, for nothing can follow from it any more."""
    statements.changed(delete(DeliveredRange).where(statements.among(DeliveredRange.file_id, file_ids)))
