"""Limit how many connections this process has to one host at a time, over all its fetches.

`session` takes a slot for every request. The first connection of a fetch has priority: extra ones start only while no
fetch waits for its first, and give up their slot when one does. So no fetch starves beside two big ones that have all
connections of the host (docs/decisions/0008 has the figures).
"""

import threading
from collections import Counter

_STOP_CHECK_SECONDS = 0.1  # between two checks whether the session was stopped


class Slot:
    """The right to one connection; releasing it twice is harmless."""

    def __init__(self, slots: "Slots", host: str, *, first: bool) -> None:
        """Remember the host that it counts for, and whether it is a fetch's first connection."""
        self._slots: Slots | None = slots
        self._host = host
        self.first = first

    def release(self) -> None:
        """Let the next request have the slot."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.release(self._host)

    @property
    def wanted(self) -> bool:
        """Whether this is an extra connection and another fetch waits for its first."""
        return not self.first and self._slots is not None and self._slots.wanted(self._host)


class Slots:
    """The connections per host; safe among threads."""

    def __init__(self) -> None:
        """Start without connections."""
        self._changed = threading.Condition()
        self._held: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()  # for their first

    def acquire(self, host: str, limit: int, *, first: bool, stopped: threading.Event) -> Slot | None:
        """Wait until a host has fewer than `limit` connections, and take a slot; None once `stopped` is set."""
        with self._changed:
            self._waiting[host] += first
            try:
                while not stopped.is_set():
                    if self._held[host] < limit and (first or not self._waiting[host]):
                        self._held[host] += 1
                        return Slot(self, host, first=first)
                    self._changed.wait(_STOP_CHECK_SECONDS)
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
        """Return whether a fetch waits for its first connection."""
        with self._changed:
            return self._waiting.get(host, 0) > 0

    @property
    def hosts(self) -> set[str]:
        """The hosts with connections or waiting fetches."""
        with self._changed:
            return {*self._held, *self._waiting}

    def _forget(self, host: str) -> None:
        for counter in (self._held, self._waiting):
            if not counter[host]:
                del counter[host]


SLOTS = Slots()  # of this process
