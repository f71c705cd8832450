"""A circuit breaker: after a service failed to answer, it is not called for a while. `tasks` has one for the broker."""

import time


class Breaker:
    """Open for a while after each failure. Safe among threads: each method is one read or one assignment."""

    def __init__(self, seconds: float) -> None:
        """Stay open for `seconds` after a failure."""
        self._seconds = seconds
        self._until = 0.0

    @property
    def open(self) -> bool:
        """Whether the service should not be called now."""
        return time.monotonic() < self._until

    def trip(self) -> None:
        """Note a failure."""
        self._until = time.monotonic() + self._seconds

    def reset(self) -> None:
        """Note that it has answered, so it may be called at once."""
        self._until = 0.0
