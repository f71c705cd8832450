"""Politeness: how many connections this process has to one origin at a time, over all its fetches.

`session` takes a slot for every request. The first connection of a fetch has the right of way: further ones start only
while nobody waits for a first, and give theirs back when somebody does. So no fetch starves beside two big ones that
have all connections of the host (docs/decisions/0008 has the figures).
"""

import threading
from collections import Counter

_GLANCE = 0.1  # seconds between two looks at whether there is any sense in waiting


class Slot:
    """The right to one connection; given back once, however often it is asked to."""

    def __init__(self, slots: "Slots", host: str, *, first: bool) -> None:
        """Remember whom it counts for."""
        self._slots: Slots | None = slots
        self._host = host
        self.first = first

    def release(self) -> None:
        """Let the next one in."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.release(self._host)

    @property
    def wanted(self) -> bool:
        """Whether another fetch waits for its first connection while this is an extra one."""
        return not self.first and self._slots is not None and self._slots.wanted(self._host)


class Slots:
    """Counts per host; any thread may ask."""

    def __init__(self) -> None:
        """Begin with nobody connected."""
        self._changed = threading.Condition()
        self._held: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()  # for their first

    def acquire(self, host: str, limit: int, *, first: bool, stopped: threading.Event) -> Slot | None:
        """Wait until fewer than `limit` connections to a host are there; None once `stopped` is set."""
        with self._changed:
            self._waiting[host] += first
            try:
                while not stopped.is_set():
                    if self._held[host] < limit and (first or not self._waiting[host]):
                        self._held[host] += 1
                        return Slot(self, host, first=first)
                    self._changed.wait(_GLANCE)
            finally:
                self._waiting[host] -= first
                self._forget(host)
        return None

    def release(self, host: str) -> None:
        """Count one connection less."""
        with self._changed:
            self._held[host] -= 1
            self._forget(host)
            self._changed.notify_all()

    def wanted(self, host: str) -> bool:
        """Return whether somebody waits for a first connection."""
        with self._changed:
            return self._waiting.get(host, 0) > 0

    @property
    def hosts(self) -> set[str]:
        """The hosts that somebody is busy with."""
        with self._changed:
            return {*self._held, *self._waiting}

    def _forget(self, host: str) -> None:
        for counter in (self._held, self._waiting):
            if not counter[host]:
                del counter[host]


SLOTS = Slots()  # of this process
