"""The slots of a one-time file: one for each download that it allows. Each is free, held, in doubt or used up.

A file for one download keeps its only slot in the columns of its row (`lease_token`, `leased_at`, `due_at` …), and its
`slots` are empty. With several, the row stores this state in `files.slots`: who holds a slot, which slots are free
again, and who was the last to use one up. `slot_leases` writes it, `services.downloads` and `confirmations` decide by
it. A slot has a number, which its attempts show; the lowest free one is taken first.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

MOST = 10_000  # downloads of one file
MOST_HELD = 500  # slots held or in doubt at once; further clients wait, though slots are left
MOST_DONE = 200  # clients remembered that have used a slot up; others cannot resume in the grace period


class Hold(StrEnum):
    """How the client with a lease token holds its slot."""

    HELD = "held"
    IN_DOUBT = "doubt"  # its lease lapsed, and the report of its download may be lost
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot and the client that has it; times are seconds since 1970."""

    number: int
    hold: Hold
    running: frozenset[int]  # the responses under this token whose end is still to be reported
    since: float  # when the lease was taken; for a used-up slot, when it was used up
    until: float  # when the lease lapses; for a used-up slot, the end of the grace period
    resumed: bool = False  # the holder has sent its token, so it may download several ranges at once
    hosts: str = ""  # whose journals report the responses, with spaces between them; "" in old rows


@dataclass(frozen=True, slots=True)
class Slots:
    """All slots of a file. Immutable: each change returns a new one."""

    downloads: int
    begun: int  # the highest number ever taken
    free: frozenset[int]  # numbers that were given back
    taken: Mapping[str, Slot]  # by lease token

    @classmethod
    def read(cls, text: str, downloads: int) -> Self:
        """Return the slots that a row stores."""
        if not text:
            return cls(downloads, 0, frozenset(), {})
        said = json.loads(text)
        taken = {
            token: Slot(number, Hold(hold), frozenset(running), *rest)
            for token, (number, hold, running, *rest) in said["taken"].items()
        }
        return cls(downloads, said["begun"], frozenset(said["free"]), taken)

    def __str__(self) -> str:
        """Return the text for the row."""
        taken = {
            token: (at.number, at.hold, sorted(at.running), at.since, at.until, at.resumed, at.hosts)
            for token, at in self.taken.items()
        }
        return json.dumps({"begun": self.begun, "free": sorted(self.free), "taken": taken}, separators=(",", ":"))

    def count(self, hold: Hold) -> int:
        """Return how many slots are in this state."""
        return sum(slot.hold is hold for slot in self.taken.values())

    @property
    def used(self) -> int:
        """How many slots are used up."""
        return self.begun - len(self.free) - self.count(Hold.HELD) - self.count(Hold.IN_DOUBT)

    @property
    def left(self) -> int:
        """How many slots are not used up."""
        return self.downloads - self.used

    @property
    def is_open(self) -> bool:
        """Whether another client can take a slot now."""
        undecided = self.count(Hold.HELD) + self.count(Hold.IN_DOUBT)
        return undecided < MOST_HELD and (bool(self.free) or self.begun < self.downloads)

    @property
    def due(self) -> float | None:
        """When the first lease lapses, None without one."""
        return min((slot.until for slot in self.taken.values() if slot.hold is Hold.HELD), default=None)

    def leased(self, token: str, response: int, *, moment: float, until: float, hosts: str) -> "Slots":
        """Return the slots after a client has taken one, or renewed the lease of its own."""
        held = self.taken.get(token)
        if held is not None:
            renewed = replace(held, running=held.running | {response}, until=until, resumed=True, hosts=hosts)
            return _with(self, token, renewed)
        return _taking(self, token, Slot(0, Hold.HELD, frozenset({response}), moment, until, hosts=hosts))

    def completed(self, token: str, *, moment: float, until: float) -> "Slots":
        """Return the slots after a complete download: one more is used up, even if its lease has lapsed.

        A client uses up one slot, however often it downloads. Nothing changes if none is left for a lapsed lease.
        """
        held = self.taken.get(token)
        if held is not None:
            done = replace(held, hold=Hold.DONE, running=frozenset(), since=moment, until=until, resumed=False)
            return self if held.hold is Hold.DONE else _with(_forgetting(self), token, done)
        if not (self.free or self.begun < self.downloads):
            return self
        return _taking(_forgetting(self), token, Slot(0, Hold.DONE, frozenset(), moment, until))

    def given_back(self, token: str, response: int, *, even_resumed: bool) -> "Slots":
        """Return the slots after a response under a token has ended without using its slot up.

        The slot becomes free only once none of its responses runs. Otherwise a running one could complete after
        another client has taken the slot. A completed range does not end a resumed lease: the client may ask for other
        ranges.
        """
        held = self.taken.get(token)
        if held is None or held.hold is not Hold.HELD or response not in held.running:
            return self
        running = held.running - {response}
        if not running and (even_resumed or not held.resumed):
            return _freeing(self, {token})
        return _with(self, token, replace(held, running=running))

    def lapsed(self, *, moment: float, is_doubtful: Callable[[Slot], bool | None]) -> "Slots":
        """Return the slots after leases have lapsed: free, or in doubt, or as they are where that is not known yet."""
        over = {t: p for t, p in self.taken.items() if p.hold is Hold.HELD and p.until <= moment}
        judged = {token: is_doubtful(slot) for token, slot in over.items()}
        over = {token: slot for token, slot in over.items() if judged[token] is not None}
        doubtful = {token: slot for token, slot in over.items() if judged[token]}
        doubted = {t: replace(slot, hold=Hold.IN_DOUBT, resumed=False) for t, slot in doubtful.items()}
        return _freeing(replace(self, taken={**self.taken, **doubted}), over.keys() - doubtful.keys())

    def decided(self, *, used: bool) -> "Slots":
        """Return the slots after the owner has decided about all that are in doubt: they are used up or free."""
        doubtful = {token for token, slot in self.taken.items() if slot.hold is Hold.IN_DOUBT}
        return _without(self, doubtful) if used else _freeing(self, doubtful)


def _taking(slots: Slots, token: str, slot: Slot) -> Slots:
    number = min(slots.free, default=slots.begun + 1)
    begun, free = max(slots.begun, number), slots.free - {number}
    return replace(_with(slots, token, replace(slot, number=number)), begun=begun, free=free)


def _freeing(slots: Slots, tokens: Collection[str]) -> Slots:
    numbers = {slots.taken[token].number for token in tokens}
    return replace(_without(slots, tokens), free=slots.free | numbers)


def _with(slots: Slots, token: str, slot: Slot) -> Slots:
    return replace(slots, taken={**slots.taken, token: slot})


def _without(slots: Slots, tokens: Collection[str]) -> Slots:
    return replace(slots, taken={token: slot for token, slot in slots.taken.items() if token not in tokens})


def _forgetting(slots: Slots) -> Slots:
    """Return the slots without the client that used one up longest ago, if there are too many of those."""
    done = [(slot.since, token) for token, slot in slots.taken.items() if slot.hold is Hold.DONE]
    return slots if len(done) < MOST_DONE else _without(slots, {min(done)[1]})
