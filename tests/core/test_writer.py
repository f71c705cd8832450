"""The concurrent writer: right bytes, exact progress, one error, and no thread that outlives it."""

import errno
import hashlib
import os
import random
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from vimeo_api.core.errors import StorageFull
from vimeo_api.core.writer import Cancelled, EndsEarly, Overflows, Spans, Writer

CHUNK = 4096
MEGABYTE = 1024**2


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@pytest.fixture
def destination(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "destination", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    yield descriptor
    os.close(descriptor)


class Source:
    """A file of random bytes, open for reading."""

    def __init__(self, path: Path, size: int) -> None:
        self.bytes = random.Random(size).randbytes(size)
        path.write_bytes(self.bytes)
        self.descriptor = os.open(path, os.O_RDONLY)


@pytest.fixture
def source(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Source]:
    source = Source(tmp_path / "source", request.param)
    yield source
    os.close(source.descriptor)


def content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size + 1, 0)


SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 100 * CHUNK + 7]
many = pytest.mark.parametrize("source", [100 * CHUNK + 7], indirect=True)


@pytest.mark.parametrize("threads", range(1, 9))
@pytest.mark.parametrize("source", SIZES, indirect=True)
def test_a_copy_has_the_same_bytes_and_says_how_far_it_is(source: Source, destination: int, threads: int) -> None:
    told: list[int] = []
    size = len(source.bytes)
    digest = hashlib.sha256()
    writer = Writer(destination, size, progress=told.append)
    writer.copy(source.descriptor, size, threads=threads, chunk=CHUNK, feed=digest.update)
    assert content(destination) == source.bytes
    assert digest.digest() == hashlib.sha256(source.bytes).digest()
    assert told == sorted(set(told))
    assert len(told) == -(-size // CHUNK)
    assert told[-1:] == ([size] if size else [])
    assert writer.written == size
    assert writer.missing == []


@many
@pytest.mark.parametrize("threads", range(1, 9))
def test_a_copy_runs_in_as_many_threads_as_it_is_told(
    source: Source, destination: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, preadv = threading.Barrier(threads), os.preadv
    met = threading.local()

    def meeting(file: int, buffers: list[memoryview], at: int) -> int:
        if not hasattr(met, "others"):
            met.others = together.wait(timeout=30)  # fails unless all are reading at the same time
        return preadv(file, buffers, at)

    monkeypatch.setattr(os, "preadv", meeting)
    Writer(destination, len(source.bytes)).copy(source.descriptor, len(source.bytes), threads=threads, chunk=CHUNK)
    assert content(destination) == source.bytes


def test_reads_and_writes_that_do_less_than_asked_are_continued(
    tmp_path: Path, destination: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(tmp_path / "source", 3 * CHUNK)
    pwrite, preadv = os.pwrite, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: pwrite(file, data[:1000], at))
    monkeypatch.setattr(os, "preadv", lambda file, buffers, at: preadv(file, [buffers[0][:999]], at))
    Writer(destination, 3 * CHUNK).copy(source.descriptor, 3 * CHUNK, threads=2, chunk=CHUNK)
    os.close(source.descriptor)
    assert content(destination) == source.bytes


@many
def test_a_source_that_ends_early_is_one_error(source: Source, destination: int) -> None:
    size = len(source.bytes)
    with pytest.raises(EndsEarly, match="ends at or before byte") as caught:
        Writer(destination, size + 50 * CHUNK).copy(source.descriptor, size + 50 * CHUNK, threads=4, chunk=CHUNK)
    # Whichever thread reads beyond the end first says where it did.
    assert int(str(caught.value).rsplit(" ", 1)[1]) >= size


@many
def test_several_sources_follow_one_another(source: Source, destination: int) -> None:
    told: list[int] = []
    writer = Writer(destination, 2 * len(source.bytes), progress=told.append)
    for start in (0, len(source.bytes)):
        writer.copy(source.descriptor, len(source.bytes), at=start, chunk=CHUNK)
    assert content(destination) == 2 * source.bytes
    assert told[-1] == 2 * len(source.bytes)
    assert told == sorted(set(told))


def test_producers_write_where_they_like_and_the_gaps_are_known(destination: int) -> None:
    writer = Writer(destination, 10)
    writer.write_at(6, b"67")
    writer.write_at(1, bytearray(b"12"))
    assert (writer.present, writer.missing) == ([(1, 3), (6, 8)], [(0, 1), (3, 6), (8, 10)])
    writer.write_at(0, memoryview(b"0123"))
    writer.write_at(4, b"456789")
    writer.write_at(4, b"")
    assert (writer.present, writer.missing, writer.written) == ([(0, 10)], [], 10)
    assert content(destination) == b"0123456789"


def test_spans_are_what_a_set_of_bytes_would_be() -> None:
    dice = random.Random(4)
    for _ in range(200):
        spans, naive = Spans(), set[int]()
        for _ in range(dice.randrange(20)):
            start = dice.randrange(60)
            end = start + dice.randrange(15)
            spans.add(start, end)
            naive |= set(range(start, end))
            assert spans.total == len(naive)
        assert [byte for start, end in spans.present() for byte in range(start, end)] == sorted(naive)
        gaps = [byte for start, end in spans.missing(80) for byte in range(start, end)]
        assert gaps == sorted(set(range(80)) - naive)
        assert spans.head == next(byte for byte in range(80) if byte not in naive)
        assert all(before[1] < after[0] for before, after in zip(spans.present(), spans.present()[1:], strict=False))


def test_an_earlier_attempt_is_continued(destination: int) -> None:
    Writer(destination, 10).write_at(2, b"234")
    told: list[int] = []
    digest = hashlib.sha256()
    writer = Writer(destination, 10, progress=told.append, present=[(2, 5)])

    def produce() -> None:
        for start, end in writer.missing:
            writer.write_at(start, b"0123456789"[start:end])

    writer.run(produce, feed=digest.update)
    assert told == [5, 10]
    assert digest.digest() == hashlib.sha256(b"0123456789").digest()


def test_without_a_size_the_file_grows(destination: int) -> None:
    digest = hashlib.sha256()
    writer = Writer(destination)

    def produce() -> None:
        writer.write_at(0, b"abc")
        writer.write_at(3, b"def")

    writer.run(produce, feed=digest.update)
    assert content(destination) == b"abcdef"
    assert digest.digest() == hashlib.sha256(b"abcdef").digest()


def test_bytes_beyond_the_announced_end_are_refused(destination: int) -> None:
    with pytest.raises(Overflows):
        Writer(destination, 10).write_at(8, b"890")
    assert content(destination) == bytes(10)


def test_when_one_producer_fails_the_others_stop_and_its_error_is_raised(destination: int) -> None:
    writer = Writer(destination, MEGABYTE)
    running = threading.Barrier(4)
    ends: list[str] = []

    def busy() -> None:
        running.wait(timeout=30)
        try:
            while True:
                writer.write_at(0, b"x")
        except Cancelled:
            ends.append("busy")
            raise

    def waiting() -> None:
        running.wait(timeout=30)
        assert writer.stopped.wait(timeout=30)
        ends.append("waiting")

    def failing() -> None:
        running.wait(timeout=30)
        raise ConnectionResetError("the origin has gone")

    with pytest.raises(ConnectionResetError, match="the origin has gone"):
        writer.run(busy, busy, waiting, failing, feed=lambda _: None)
    assert sorted(ends) == ["busy", "busy", "waiting"]
    with pytest.raises(Cancelled):
        writer.check()


@pytest.mark.parametrize("kind", ["event", "question"])
def test_a_cancelled_copy_stops_at_the_next_chunk(tmp_path: Path, destination: int, kind: str) -> None:
    event = threading.Event()
    source = Source(tmp_path / "source", 1000 * CHUNK)
    told: list[int] = []

    def progress(written: int) -> None:
        told.append(written)
        if len(told) == 10:
            event.set()

    writer = Writer(destination, 1000 * CHUNK, progress=progress, cancelled=event if kind == "event" else event.is_set)
    with pytest.raises(Cancelled):
        writer.copy(source.descriptor, 1000 * CHUNK, threads=4, chunk=CHUNK)
    os.close(source.descriptor)
    assert len(told) <= 10 + 4  # what each thread had in hand


def test_a_cancel_reaches_producers_that_are_waiting(destination: int) -> None:
    cancelled = threading.Event()
    writer = Writer(destination, MEGABYTE, cancelled=cancelled)

    def waiting() -> None:
        cancelled.set()
        assert writer.stopped.wait(timeout=30)

    with pytest.raises(Cancelled):
        writer.run(waiting, waiting, feed=lambda _: None)


def test_an_interrupt_stops_all_threads(destination: int, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(destination, MEGABYTE)
    join = threading.Thread.join
    waited: list[bool] = []

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        if timeout is not None:
            raise KeyboardInterrupt
        join(thread)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        writer.run(lambda: waited.append(writer.stopped.wait(timeout=30)))
    assert waited == [True]


def test_a_progress_that_fails_fails_the_writing(destination: int) -> None:
    def progress(written: int) -> None:
        raise BrokenPipeError

    writer = Writer(destination, 10, progress=progress)
    with pytest.raises(BrokenPipeError):
        writer.run(lambda: writer.write_at(0, b"x"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a filesystem")
    folder = tmp_path / "small"
    folder.mkdir()
    if os.system(f"mount -t tmpfs -o size=1m tmpfs {folder} 2>/dev/null") != 0:
        pytest.skip("may not mount here")
    yield folder
    assert os.system(f"umount {folder}") == 0


def test_a_disk_that_is_too_small_is_said_before_the_first_byte(small_disk: Path) -> None:
    with (small_disk / "file").open("wb") as file, pytest.raises(StorageFull):
        Writer(file.fileno(), 2 * MEGABYTE)


def test_a_disk_that_fills_up_is_one_error(small_disk: Path) -> None:
    with (small_disk / "file").open("wb") as file:
        writer = Writer(file.fileno())

        def produce(start: int) -> None:
            for at in range(start, 4 * MEGABYTE, 4 * CHUNK):
                writer.write_at(at, bytes(CHUNK))

        with pytest.raises(StorageFull):
            writer.run(*[partial(produce, start) for start in range(0, 4 * CHUNK, CHUNK)])
        assert 0 < writer.written <= MEGABYTE


@many
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_has_an_error_of_its_own(
    source: Source, destination: int, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    pwrite = os.pwrite

    def filling(file: int, data: memoryview, at: int) -> int:
        if at >= 20 * CHUNK:
            raise OSError(number, "full")
        return pwrite(file, data, at)

    monkeypatch.setattr(os, "pwrite", filling)
    with pytest.raises(StorageFull):
        Writer(destination, len(source.bytes)).copy(source.descriptor, len(source.bytes), threads=4, chunk=CHUNK)
