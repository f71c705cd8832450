"""Who fetches which bytes: the plan that several connections share.

`client` takes a span, claims what it received, writes it and says so. A connection without work takes the later
half of the longest span in work; where halves would be too small, it takes over whole what has stood still for a while.
A byte is claimed once, so no two connections ever write the same one.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

LEAST = 64 * 1024  # bytes: halves smaller than this cost more in asking for them than they gain
PATIENCE = 2.0  # seconds without a byte after which the rest of a span is given to somebody else


@dataclass(eq=False, slots=True)
class Span:
    """Bytes [position, end) that somebody is about to fetch; both ends move, under the plan's lock."""

    position: int
    end: int
    touched: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> int:
        """Bytes still to be claimed."""
        return self.end - self.position


class Plan:
    """All bytes of a file of known size: there already, in work, or waiting for somebody; any thread may ask."""

    def __init__(self, size: int, present: Iterable[tuple[int, int]] = (), *, parts: int = 1) -> None:
        """Plan what is missing, cut so that about `parts` connections have equal shares."""
        gaps = missing(size, present)
        self.size = size
        self._received = size - sum(end - start for start, end in gaps)
        share = max(-(-(size - self._received) // parts), LEAST)
        self._waiting = [Span(at, min(at + share, end)) for start, end in gaps for at in range(start, end, share)]
        self._working: list[Span] = []
        self._changed = threading.Condition()

    @property
    def parts(self) -> int:
        """Spans that wait for somebody."""
        with self._changed:
            return len(self._waiting)

    @property
    def received(self) -> int:
        """Bytes that are written."""
        with self._changed:
            return self._received

    @property
    def complete(self) -> bool:
        """Whether every byte is written."""
        return self.received == self.size

    def take(self) -> Span | None:
        """Return a span to fetch, or None while there is nothing to be gained by another connection."""
        with self._changed:
            span = self._waiting.pop(0) if self._waiting else self._split()
            if span is not None:
                span.touched = time.monotonic()
                self._working.append(span)
            return span

    @contextmanager
    def working(self, span: Span) -> Iterator[None]:
        """On leaving, give back what of a span was not claimed."""
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
        """Wait until there may be work again, or none for good, or so long."""
        with self._changed:
            if self._received < self.size and not self._waiting:
                self._changed.wait(seconds)

    def _split(self) -> Span | None:
        slowest = max(self._working, key=lambda span: span.left, default=None)
        if slowest is None or not slowest.left:
            return None
        if slowest.left >= 2 * LEAST:
            return self._taken(slowest, slowest.position + slowest.left // 2)
        stuck = [s for s in self._working if s.left and time.monotonic() - s.touched > PATIENCE]
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
