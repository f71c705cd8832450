"""How a response ended, and how a line of nginx's journal says so; `confirmations` decides by it.

In the embedded profile there is no journal: the response itself makes a `Sent`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from vimeo_api.core.files.send_budget import Span

# Numbers as nginx and `str` write them, and that a column can hold.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_TICKET = re.compile(r"(0|[1-9][0-9]{0,17}):([0-9a-f]{32}):(0|[1-9][0-9]{0,8})")
_SECONDS = re.compile(r"[0-9]{1,10}(\.[0-9]{1,6})?")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/[0-9]{1,18}")
_OK, _PARTIAL = 200, 206


@dataclass(frozen=True, slots=True)
class Ticket:
    """Names a response: its file, its lease, and its number. nginx carries it as text."""

    file_id: int
    lease_token: str
    response: int

    def __str__(self) -> str:
        """Return the ticket as it is written in the journal."""
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
    span: Span | None  # the bytes that were sent: the first, and the one after the last
    complete: bool  # the server sent all that it meant to
    ended_at: datetime | None = None  # None: just now
    seconds: float | None = None  # the duration of the request, if known

    @classmethod
    def from_journal(cls, line: Mapping[str, Any]) -> Self | None:
        """Return what a line of nginx's journal says, or None for a response without a body.

        Raises KeyError and ValueError for a line that nginx cannot have written.
        """
        ticket = Ticket.parse(str(line["ticket"]))
        if ticket is None or line["method"] != "GET":
            return None
        span = _span(_number(line["status"]), _number(line["sent"]), str(line["range"]))
        ended_at, seconds = _moment(line.get("time")), _seconds(line.get("seconds"))
        return cls(ticket, span, complete=line["completion"] == "OK", ended_at=ended_at, seconds=seconds)


def _number(value: object) -> int:
    if not (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise ValueError(value)
    return int(value)


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, str) and _SECONDS.fullmatch(value) else None


def _moment(value: object) -> datetime | None:
    seconds = _seconds(value)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _span(status: int, sent: int, content_range: str) -> Span | None:
    if status == _OK:
        return (0, sent)
    match = _CONTENT_RANGE.fullmatch(content_range)
    if status == _PARTIAL and match and sent <= int(match[2]) + 1 - int(match[1]):
        return (int(match[1]), int(match[1]) + sent)
    return None
