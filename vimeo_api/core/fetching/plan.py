"""Who fetches which bytes: the plan that several connections share.

Each of the `connections` takes a span, claims the bytes that it received, writes them and reports that. A connection
without work takes the later half of the longest span in progress. If the halves would be too small, it takes over a
whole span that has stalled. A byte is claimed once, so no two connections write the same one.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

MIN_SPLIT_BYTES = 64 * 1024  # a request for a smaller half costs more than it gains
STALL_SECONDS = 2.0  # without a byte, then another connection may take over the rest of a span


@dataclass(eq=False, slots=True)
class Span:
    """Bytes [position, end) that a connection is about to fetch; both ends move, under the plan's lock."""

    position: int
    end: int
    touched: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> int:
        """Bytes still to be claimed."""
        return self.end - self.position


class Plan:
    """All bytes of a file of known size: written, in progress, or waiting for a connection; safe among threads."""

    def __init__(self, size: int, present: Iterable[tuple[int, int]] = (), *, parts: int = 1) -> None:
        """Plan what is missing, cut into about `parts` equal shares."""
        gaps = missing(size, present)
        self.size = size
        self._received = size - sum(end - start for start, end in gaps)
        share = max(-(-(size - self._received) // parts), MIN_SPLIT_BYTES)
        self._waiting = [Span(at, min(at + share, end)) for start, end in gaps for at in range(start, end, share)]
        self._working: list[Span] = []
        self._changed = threading.Condition()

    @property
    def parts(self) -> int:
        """How many spans wait for a connection."""
        with self._changed:
            return len(self._waiting)

    @property
    def received(self) -> int:
        """How many bytes are written."""
        with self._changed:
            return self._received

    @property
    def complete(self) -> bool:
        """Whether every byte is written."""
        return self.received == self.size

    def take(self) -> Span | None:
        """Return a span to fetch, or None while another connection would not help."""
        with self._changed:
            span = self._waiting.pop(0) if self._waiting else self._split()
            if span is not None:
                span.touched = time.monotonic()
                self._working.append(span)
            return span

    @contextmanager
    def working(self, span: Span) -> Iterator[None]:
        """On leaving, give back the bytes of a span that were not claimed."""
        try:
            yield
        finally:
            with self._changed:
                self._working.remove(span)
                if span.left:
                    self._waiting.append(span)
                    self._changed.notify_all()

    def claim(self, span: Span, length: int) -> tuple[int, int]:
        """Return the offset at which received bytes belong, and how many of them are still wanted."""
        with self._changed:
            offset, wanted = span.position, min(length, span.left)
            span.position += wanted
            span.touched = time.monotonic()
            return offset, wanted

    def wrote(self, length: int) -> None:
        """Note that claimed bytes are written."""
        with self._changed:
            self._received += length
            if self._received == self.size:
                self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait at most `seconds` until there may be work again or everything is written."""
        with self._changed:
            if self._received < self.size and not self._waiting:
                self._changed.wait(seconds)

    def _split(self) -> Span | None:
        slowest = max(self._working, key=lambda span: span.left, default=None)
        if slowest is None or not slowest.left:
            return None
        if slowest.left >= 2 * MIN_SPLIT_BYTES:
            return self._taken(slowest, slowest.position + slowest.left // 2)
        stuck = [s for s in self._working if s.left and time.monotonic() - s.touched > STALL_SECONDS]
        return self._taken(stuck[0], stuck[0].position) if stuck else None

    @staticmethod
    def _taken(span: Span, cut: int) -> Span:
        rest = Span(cut, span.end)
        span.end = cut
        return rest


def missing(size: int, present: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the gaps [start, end) that spans, in any order, leave before `size`."""
    gaps, at = [], 0
    for start, end in sorted(present):
        if at < min(start, size):
            gaps.append((at, min(start, size)))
        at = max(at, end)
    return [*gaps, (at, size)] if at < size else gaps
