"""Concurrent chunked writing: several threads put chunks at their offsets into one preallocated file.

`Writer.copy` brings the chunks from a file (`core.joining`, `manage.py copy`); threads that have them from elsewhere,
as a fetcher of ranges does, call `write_at` and are run by `Writer.run`. When one of them fails, or somebody cancels,
all stop, and one error is raised once none runs any more. What becomes of the file is its owner's business.

CHUNK and THREADS are measured (`make bench`): a copy gains by reading while another thread writes. Below 256 KiB
Python's own time shows, above a few MiB the chunk falls out of the processor's cache between being read and written.
Sources: pwrite(2), preadv(2), posix_fallocate(3), which fails early on a full disk.
"""

import os
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from functools import partial

from vimeo_api.core.storage import full_disk_is_said

CHUNK = 1024**2  # bytes
THREADS = len(os.sched_getaffinity(0))  # the cores that we may use
_GLANCE = 0.1  # seconds between two looks at whether somebody cancelled while all threads are busy elsewhere


class Cancelled(Exception):
    """The writing was stopped, by who asked for it or because another thread has failed."""


class EndsEarly(OSError):
    """A source has fewer bytes than it should."""


class Overflows(ValueError):
    """A producer brings bytes beyond the announced end."""


class Spans:
    """Which bytes of a file are there, as disjoint spans [start, end) in order."""

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        """Begin with the given spans."""
        self.total = 0  # bytes in all spans
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in spans:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Add a span; it may overlap others."""
        if start >= end:
            return
        first, last = bisect_left(self._ends, start), bisect_right(self._starts, end)  # all that it touches
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
            self.total -= sum(self._ends[first:last]) - sum(self._starts[first:last])
        self._starts[first:last], self._ends[first:last] = [start], [end]
        self.total += end - start

    def present(self) -> list[tuple[int, int]]:
        """Return the spans."""
        return list(zip(self._starts, self._ends, strict=True))

    def missing(self, size: int) -> list[tuple[int, int]]:
        """Return the gaps before `size`."""
        gaps = zip([0, *self._ends], [*self._starts, size], strict=True)
        return [(start, end) for start, end in gaps if start < end]

    @property
    def head(self) -> int:
        """How many bytes are there without a gap from the beginning."""
        return self._ends[0] if self._starts and self._starts[0] == 0 else 0


class Writer:
    """An open file into which several threads write at the same time."""

    def __init__(
        self,
        descriptor: int,
        size: int | None = None,
        *,
        progress: Callable[[int], object] | None = None,
        cancelled: threading.Event | Callable[[], bool] | None = None,
        present: Iterable[tuple[int, int]] = (),
    ) -> None:
        """Reserve `size` bytes, if they are known. Raises StorageFull.

        `progress` is told the bytes written so far, never fewer than before, by one thread at a time, so it should be
        quick. `cancelled` is an event, or a question that is asked often. `present` are spans of an earlier attempt.
        """
        self.size = size
        self.stopped = threading.Event()  # for producers that wait for something else than us
        self._descriptor = descriptor
        self._progress = progress
        self._cancelled = cancelled.is_set if isinstance(cancelled, threading.Event) else cancelled
        self._spans = Spans(present)
        self._changed = threading.Condition()  # on the spans and the error
        self._producing = 0
        self._error: BaseException | None = None
        if size:
            with full_disk_is_said():
                os.posix_fallocate(descriptor, 0, size)

    @property
    def written(self) -> int:
        """Bytes that are there, each counted once."""
        with self._changed:
            return self._spans.total

    @property
    def present(self) -> list[tuple[int, int]]:
        """The spans [start, end) that are there, in order."""
        with self._changed:
            return self._spans.present()

    @property
    def missing(self) -> list[tuple[int, int]]:
        """The spans [start, end) that are not there yet, in order; none when the size is not known."""
        with self._changed:
            return self._spans.missing(self.size or 0)

    def write_at(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write data at its offset. Raises StorageFull, Overflows, Cancelled; any thread may call it."""
        view = memoryview(data)
        end = offset + len(view)
        if self.size is not None and end > self.size:
            raise Overflows(f"byte {end} is beyond the announced end at {self.size}")
        self.check()
        with full_disk_is_said():
            while view:
                view = view[os.pwrite(self._descriptor, view, end - len(view)) :]
        with self._changed:
            self._spans.add(offset, end)
            self._changed.notify_all()
            if self._progress is not None:
                self._progress(self._spans.total)

    def check(self) -> None:
        """Raise Cancelled if there is no sense in going on."""
        if self.stopped.is_set() or (self._cancelled is not None and self._cancelled()):
            raise Cancelled("The writing was cancelled.")

    def run(self, *producers: Callable[[], None], feed: Callable[[memoryview], object] | None = None) -> None:
        """Run each producer in a thread of its own to its end. Raises the first error of any, when all have ended.

        The others learn of it by Cancelled from `write_at` and `check`, or wait for `stopped`. `feed`, as the `update`
        of a digest, gets the bytes from the beginning, in order, while they are written; the file must be readable.
        """
        self._producing = len(producers)
        tasks = [partial(self._produce, producer) for producer in producers]
        threads = [threading.Thread(target=self._guard, args=[task]) for task in tasks]
        if feed is not None:
            threads.append(threading.Thread(target=self._guard, args=[partial(self._follow, feed)]))
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(_GLANCE)
                    self.check()
        except BaseException as error:  # noqa: BLE001 -- Ctrl-C too; raised again below
            self._stop(error)
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        if self._error is not None:
            raise self._error

    def copy(
        self,
        source: int,
        size: int,
        *,
        at: int = 0,
        threads: int = THREADS,
        chunk: int = CHUNK,
        feed: Callable[[memoryview], object] | None = None,
    ) -> None:
        """Copy the first `size` bytes of an open file to the offset `at`. Raises as `write_at`, and EndsEarly."""
        starts = iter(range(0, size, chunk))  # shared: taking the next is one step of the interpreter

        def produce() -> None:
            buffer = memoryview(bytearray(min(chunk, size)))
            for start in starts:
                piece = buffer[: size - start]
                _fill(piece, source, start)
                self.write_at(at + start, piece)

        self.run(*[produce] * min(threads, len(range(0, size, chunk))), feed=feed)

    def _produce(self, producer: Callable[[], None]) -> None:
        producer()
        with self._changed:
            self._producing -= 1
            self._changed.notify_all()

    def _follow(self, feed: Callable[[memoryview], object]) -> None:
        buffer, done = memoryview(bytearray(CHUNK)), 0
        while (head := self._head_beyond(done)) > done:
            piece = buffer[: head - done]
            _fill(piece, self._descriptor, done)
            feed(piece)
            done += len(piece)

    def _head_beyond(self, done: int) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._spans.head > done or not self._producing or self.stopped.is_set())
            self.check()
            return self._spans.head

    def _guard(self, task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:  # noqa: BLE001 -- raised again by `run`
            self._stop(error)

    def _stop(self, error: BaseException) -> None:
        with self._changed:
            self._error = error if self._error is None else self._error
            self.stopped.set()
            self._changed.notify_all()


def _fill(piece: memoryview, source: int, start: int) -> None:
    while piece:
        count = os.preadv(source, [piece], start)
        if count == 0:
            raise EndsEarly(f"the source ends at or before byte {start}")
        piece, start = piece[count:], start + count
