"""A circuit breaker: a service that has just failed to answer is left alone for a while."""

import time


class Breaker:
    """Open for a while after each failure. Safe among threads: both moves are one assignment."""

    def __init__(self, seconds: float) -> None:
        """Stay open for so many seconds after a failure."""
        self._seconds = seconds
        self._until = 0.0

    @property
    def open(self) -> bool:
        """Whether the service should be left alone now."""
        return time.monotonic() < self._until

    def trip(self) -> None:
        """Note a failure."""
        self._until = time.monotonic() + self._seconds
