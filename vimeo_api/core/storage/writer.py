"""Concurrent chunked writing: several threads put chunks at their offsets into one preallocated file.

`Writer.copy` reads the chunks from a file with its own threads (`core.files.placing`, `manage.py copy`). A caller that
has its own threads and gets the chunks elsewhere calls `write_at`, as `core.fetching.partial_file` does. The file, and
its digest, are the caller's business: an extra thread that digests during the writing was no faster than reading the
file again afterwards (0.21 and 0.20 × dd in one run on two cores, both busy copying).

CHUNK and THREADS are measured (`make bench`): a copy gains by reading while another thread writes. Below 256 KiB
Python's own time shows, above a few MiB the chunk falls out of the processor's cache between being read and written.
Sources: pwrite(2), preadv(2), posix_fallocate(3), which fails early on a full disk.
"""

import os
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue

from vimeo_api.core.storage.folders import raising_storage_full

CHUNK = 1024**2  # bytes
THREADS = len(os.sched_getaffinity(0))  # the cores that we may use
_SIGNAL_SECONDS = 1.0


class EndsEarly(OSError):
    """A source has fewer bytes than expected."""


class Spans:
    """Which bytes of a file are written, as disjoint spans [start, end) in order."""

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        """Start with the given spans."""
        self.total = 0  # bytes in all spans
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in spans:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Add a span; it may overlap others."""
        if start >= end:
            return
        first, last = bisect_left(self._ends, start), bisect_right(self._starts, end)  # all spans that it touches
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
            self.total -= sum(self._ends[first:last]) - sum(self._starts[first:last])
        self._starts[first:last], self._ends[first:last] = [start], [end]
        self.total += end - start

    def present(self) -> list[tuple[int, int]]:
        """Return the spans."""
        return list(zip(self._starts, self._ends, strict=True))


class Writer:
    """Writes to an open file from several threads at the same time."""

    def __init__(
        self,
        descriptor: int,
        size: int | None = None,
        *,
        progress: Callable[[int], object] | None = None,
        present: Iterable[tuple[int, int]] = (),
    ) -> None:
        """Preallocate `size` bytes, if known. Raises StorageFull.

        `progress` is called with the bytes written so far, never fewer than before, by one thread at a time, so it
        should be quick. `present` are the spans of an earlier attempt.
        """
        self._descriptor = descriptor
        self._progress = progress
        self._spans = Spans(present)
        self._lock = threading.Lock()  # on the spans and the progress
        if size:
            with raising_storage_full():
                os.posix_fallocate(descriptor, 0, size)

    @property
    def present(self) -> list[tuple[int, int]]:
        """The spans [start, end) that are written, in order."""
        with self._lock:
            return self._spans.present()

    def write_at(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write data at its offset. Raises StorageFull; any thread may call it."""
        view, position = memoryview(data), offset
        with raising_storage_full():
            while view:
                written = os.pwrite(self._descriptor, view, position)
                view, position = view[written:], position + written
        with self._lock:
            self._spans.add(offset, position)
            if self._progress is not None:
                self._progress(self._spans.total)

    def copy(
        self, source: int, size: int, *, at: int = 0, start: int = 0, threads: int = THREADS, chunk: int = CHUNK
    ) -> None:
        """Copy `size` bytes of an open file, from `start`, to the offset `at`. Raises StorageFull and EndsEarly.

        The first error of a thread, or an interrupt of the caller, stops all threads and is raised once they end.
        """
        chunks = range(0, size, chunk)
        offsets = iter(chunks)  # shared by the threads: taking the next one is atomic
        stopped = threading.Event()

        def work() -> None:
            buffer = memoryview(bytearray(min(chunk, size)))
            for offset in offsets:
                if stopped.is_set():
                    return
                piece = buffer[: size - offset]
                _fill(piece, source, start + offset)
                self.write_at(at + offset, piece)

        _run(work, len(chunks[:threads]), stopped)


def _run(work: Callable[[], None], count: int, stopped: threading.Event) -> None:
    """Run `work` in several threads until all end, one fails, or we are interrupted."""
    outcomes: SimpleQueue[BaseException | None] = SimpleQueue()

    def guarded() -> None:
        try:
            work()
            outcomes.put(None)
        except BaseException as error:  # noqa: BLE001 -- raised again below
            outcomes.put(error)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            # Not `join`: if it is interrupted, Python 3.11 believes that the thread has ended. Not an executor: it
            # loses a thread that is just being started.
            if (error := _next(outcomes)) is not None:
                raise error
    finally:
        stopped.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _next(outcomes: SimpleQueue[BaseException | None]) -> BaseException | None:
    while True:
        try:
            # With a timeout: a signal that arrives just before the wait is only handled after it.
            return outcomes.get(timeout=_SIGNAL_SECONDS)
        except Empty:
            continue


def _fill(piece: memoryview, source: int, start: int) -> None:
    while piece:
        count = os.preadv(source, [piece], start)
        if count == 0:
            raise EndsEarly(f"the source ends at or before byte {start}")
        piece, start = piece[count:], start + count
