"""What the caller's thread does during a fetch: watch the clock, run the callbacks and wait for the other threads.

`client` makes a `Watch` for each fetch, and `Threads` for each attempt.
"""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from vimeo_api.core.errors import PipelineError
from vimeo_api.core.fetching.session import Limits, Session
from vimeo_api.core.fetching.ssrf import OriginTooSlow

_TICK = 0.1  # seconds between two checks of the clock and of `cancelled`

Progress = Callable[[int, int | None], None]


class Cancelled(PipelineError):
    """The fetch was cancelled."""

    lasting = False

    def __init__(self) -> None:
        """Set the message."""
        super().__init__("The fetch was cancelled.")


class Watch:
    """What the caller's thread does while others work: watch the clock and run the callbacks."""

    def __init__(self, limits: Limits, progress: Progress, cancelled: Callable[[], bool]) -> None:
        """Begin now: `limits.total` counts from here."""
        self.limits = limits
        self.deadline = time.monotonic() + limits.total
        self.received: Callable[[], int] = lambda: 0
        self.total: int | None = None
        self._progress = progress
        self._cancelled = cancelled
        self._heard = time.monotonic()
        self._measured: tuple[float, int] | None = None  # when the rate was last measured, and the bytes by then

    def heard(self) -> None:
        """Note that the origin has sent something; any thread may call this."""
        self._heard = time.monotonic()

    def waited(self) -> None:
        """Note that we wait for our own limits, not for the origin."""
        self.heard()
        if self._measured:
            self.measure()

    def measure(self) -> None:
        """Measure the rate from now on; it is not measured while we wait for the first byte, which `idle` limits."""
        self._measured = (time.monotonic(), self.received())

    def probing(self) -> None:
        """Measure no rate until the next `measure`."""
        self._measured = None

    def tick(self) -> None:
        """Report progress. Raises Cancelled and OriginTooSlow."""
        self._progress(self.received(), self.total)
        if self._cancelled():
            raise Cancelled
        now = time.monotonic()
        if now > self.deadline:
            raise OriginTooSlow(f"The fetch takes longer than {self.limits.total:g} seconds.")
        if now - self._heard > self.limits.idle:
            raise OriginTooSlow(f"The origin has sent nothing for {self.limits.idle:g} seconds.")
        if self._measured and now - self._measured[0] >= self.limits.rate_seconds:
            if self.received() - self._measured[1] < self.limits.min_rate * self.limits.rate_seconds:
                raise OriginTooSlow(
                    f"The origin has sent fewer than {self.limits.min_rate} bytes per second for "
                    f"{self.limits.rate_seconds:g} seconds."
                )
            self.measure()

    def pause(self, seconds: float) -> None:
        """Wait, and keep watching."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.tick()
            time.sleep(min(_TICK, left))


class Threads:
    """The session and the threads of one attempt."""

    def __init__(self, session: Session, threads: ThreadPoolExecutor, watch: Watch) -> None:
        """Take a session and threads that the caller closes."""
        self.session = session
        self._threads = threads
        self._watch = watch

    def run(self, *jobs: Callable[[], Any], until: Callable[[], bool] = lambda: False) -> list[Future[Any]]:
        """Watch until all jobs are done or `until` is true. Raises the first error of any job."""
        futures = [self._threads.submit(job) for job in jobs]
        pending = set(futures)
        while pending and not until():
            done, pending = wait(pending, _TICK, FIRST_COMPLETED)
            for future in done:
                future.result()
            if self.session.queued:
                self._watch.waited()
            self._watch.tick()
        return futures
