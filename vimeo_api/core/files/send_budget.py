"""The budget of a one-time file: how often each of its bytes was sent or may be on its way.

`services.downloads` checks it before a response, `leases` records what the response may send, `core.deliveries` what it
has sent. The row stores it as text in `files.spans`, which stays empty while there is only one response with the whole
file, as for nearly all files.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

Span = tuple[int, int]  # the first byte, and the one after the last
Run = tuple[int, int, int]  # a span, and how often its bytes were sent

MOST_RUNS = 1000  # with more, the nearest runs are merged
MOST_OPEN = 1000  # responses whose end is not reported yet


@dataclass(frozen=True, slots=True)
class Spans:
    """What was sent and what may be on its way. Immutable: each change returns a new one."""

    open: Mapping[int, Span]  # what each response may send, by its number, until its end is reported
    sent: tuple[Run, ...]  # in order, without overlaps
    since: int = 1  # the first response under the lease of now, or of the last one

    @classmethod
    def read(cls, text: str, *, responses: int, size: int) -> Self:
        """Return the spans that a row stores."""
        if not text:
            return cls({1: (0, size)} if responses else {}, ())
        said = json.loads(text)
        opened = {int(number): (start, stop) for number, (start, stop) in said["open"].items()}
        return cls(opened, tuple((start, stop, times) for start, stop, times in said["sent"]), said.get("since", 1))

    def __str__(self) -> str:
        """Return the text for the row."""
        return json.dumps({"open": self.open, "sent": self.sent, "since": self.since}, separators=(",", ":"))

    @property
    def running(self) -> bool:
        """Whether the end of a response under this lease is still to be reported."""
        return any(number >= self.since for number in self.open)

    def charged(self, response: int, span: Span, *, begins: bool = False) -> Self:
        """Return the spans with another response, which may send this span; `begins` says that its lease is new."""
        opened, sent = {**self.open, response: span}, self.sent
        if len(opened) > MOST_OPEN:
            oldest = min(opened)
            sent = _summed([*sent, (*opened.pop(oldest), 1)])
        return type(self)(opened, sent, response if begins else self.since)

    def settled(self, response: int, span: Span | None) -> Self:
        """Return the spans after a response has ended and sent this span; unchanged if it had already ended."""
        if response not in self.open:
            return self
        opened = {number: charge for number, charge in self.open.items() if number != response}
        sent = self.sent if span is None else _summed([*self.sent, (*span, 1)])
        return type(self)(opened, sent, self.since)

    def most(self, span: Span) -> int:
        """Return how often the bytes of a span were sent or may be on their way: the highest count of any byte."""
        runs = _summed([*self.sent, *((start, stop, 1) for start, stop in self.open.values())])
        return max((times for start, stop, times in runs if start < span[1] and span[0] < stop), default=0)

    def covers(self, size: int, *, times: int = 1) -> bool:
        """Return whether all responses together have sent every byte of a file at least `times` times."""
        reached = 0
        for start, stop, number in self.sent:
            if start > reached or number < times:
                break
            reached = stop
        return reached >= size


def _summed(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Add up overlapping runs and return runs without overlaps, at most MOST_RUNS."""
    changes: dict[int, int] = {}
    for start, stop, times in runs:
        changes[start] = changes.get(start, 0) + times
        changes[stop] = changes.get(stop, 0) - times
    found: list[Run] = []
    times = 0
    for at, until in pairwise(sorted(changes)):
        times += changes[at]
        if not times:
            continue
        if found and found[-1][1:] == (at, times):
            at = found.pop()[0]  # noqa: PLW2901 -- continues the run before
        found.append((at, until, times))
    while len(found) > MOST_RUNS:
        nearest = min(range(len(found) - 1), key=lambda index: found[index + 1][1] - found[index][0])
        one, other = found[nearest : nearest + 2]
        found[nearest : nearest + 2] = [(one[0], other[1], max(one[2], other[2]))]
    return tuple(found)
