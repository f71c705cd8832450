"""How often which bytes of a one-time file have left or may be leaving, which is what its budget limits.

`services.downloads` asks before a response, `leases` writes down what it may send, `core.deliveries` what it has sent.
In a row this is the text `files.spans`. It is empty while there is nothing but one response with the whole file, as
nearly all files have it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

Span = tuple[int, int]  # the first byte, and the one after the last
Run = tuple[int, int, int]  # a span, and how often its bytes have left

MOST_RUNS = 1000  # of a file that is read in more pieces the nearest runs become one
MOST_OPEN = 1000  # responses that nobody has reported yet


@dataclass(frozen=True, slots=True)
class Spans:
    """What has left and what may be leaving. Each change makes a new one."""

    open: Mapping[int, Span]  # charged for a response, by its number, until somebody reports how it ended
    sent: tuple[Run, ...]  # in order, apart from each other

    @classmethod
    def read(cls, text: str, *, responses: int, size: int) -> Self:
        """Return what a row says."""
        if not text:
            return cls({1: (0, size)} if responses else {}, ())
        said = json.loads(text)
        opened = {int(number): (start, stop) for number, (start, stop) in said["open"].items()}
        return cls(opened, tuple((start, stop, times) for start, stop, times in said["sent"]))

    def __str__(self) -> str:
        """Return the text for the row."""
        return json.dumps({"open": self.open, "sent": self.sent}, separators=(",", ":"))

    def charged(self, response: int, span: Span) -> Self:
        """Return it with a response that may send the span."""
        opened, sent = {**self.open, response: span}, self.sent
        if len(opened) > MOST_OPEN:
            oldest = min(opened)
            sent = _summed([*sent, (*opened.pop(oldest), 1)])
        return type(self)(opened, sent)

    def settled(self, response: int, span: Span | None) -> Self:
        """Return it with a response that has ended and sent the span; the same if it had ended before."""
        if response not in self.open:
            return self
        opened = {number: charge for number, charge in self.open.items() if number != response}
        return type(self)(opened, self.sent if span is None else _summed([*self.sent, (*span, 1)]))

    def most(self, span: Span) -> int:
        """Return how often the byte of the span that leaves most often has left or may be leaving."""
        runs = _summed([*self.sent, *((start, stop, 1) for start, stop in self.open.values())])
        return max((times for start, stop, times in runs if start < span[1] and span[0] < stop), default=0)

    def covers(self, size: int) -> bool:
        """Return whether all bytes of a file have been sent, together."""
        reached = 0
        for start, stop, _ in self.sent:
            if start > reached:
                return False
            reached = stop
        return reached >= size


def _summed(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Return runs that overlap as runs that do not, at most MOST_RUNS of them."""
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
            at = found.pop()[0]  # noqa: PLW2901 -- the run before goes on
        found.append((at, until, times))
    while len(found) > MOST_RUNS:
        nearest = min(range(len(found) - 1), key=lambda index: found[index + 1][1] - found[index][0])
        one, other = found[nearest : nearest + 2]
        found[nearest : nearest + 2] = [(one[0], other[1], max(one[2], other[2]))]
    return tuple(found)
