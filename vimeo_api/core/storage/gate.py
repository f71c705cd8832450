"""How many threads may wait at the same time for a service that does not answer: few, so that others stay free.

The object store has one; uploads with PLACE=through and deletions pass through it.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from vimeo_api.core.errors import Unavailable


class Gate:
    """Open to all while the service answers, and to a few while it does not."""

    def __init__(self, *, few: int, patience: float) -> None:
        """Call the service silent if it failed, or if somebody has waited `patience` seconds without a sign of life."""
        self._few = few
        self._patience = patience
        self._lock = threading.Lock()
        self._inside = 0
        self._failed = False
        self._heard = 0.0

    @property
    def silent(self) -> bool:
        """Whether the service failed when it was last asked, or seems to hang now."""
        return self._failed or (self._inside > 0 and time.monotonic() - self._heard > self._patience)

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Count the caller among those who wait. Raises Unavailable if enough wait already."""
        with self._lock:
            if self._inside >= self._few and self.silent:
                raise Unavailable("Others wait for the object store already.")
            if self._inside == 0:
                self._heard = time.monotonic()  # silence counts from the first one that waits
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1

    def note_answer(self) -> None:
        """Note that the service works, or is making progress."""
        self._failed, self._heard = False, time.monotonic()

    def note_failure(self) -> None:
        """Note that the service has failed."""
        self._failed = True
