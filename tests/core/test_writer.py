"""The concurrent writer: right bytes, exact progress, one error, and no thread that outlives it."""

import errno
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.services import ROOT
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.storage.writer import EndsEarly, Spans, Writer

CHUNK = 4096
MEGABYTE = 1024**2


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before  # a thread of an earlier test may end meanwhile


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
def test_a_copy_has_the_same_bytes_and_reports_progress(source: Source, destination: int, threads: int) -> None:
    told: list[int] = []
    size = len(source.bytes)
    writer = Writer(destination, size, progress=told.append)
    writer.copy(source.descriptor, size, threads=threads, chunk=CHUNK)
    assert content(destination) == source.bytes
    assert told == sorted(set(told))
    assert len(told) == -(-size // CHUNK)
    assert told[-1:] == ([size] if size else [])
    assert writer.present == ([(0, size)] if size else [])


@many
@pytest.mark.parametrize("threads", range(1, 9))
def test_a_copy_uses_the_given_number_of_threads(
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
    # The first thread that reads beyond the end reports where.
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


def test_the_writer_knows_which_spans_are_written(destination: int) -> None:
    told: list[int] = []
    writer = Writer(destination, 10, progress=told.append)
    writer.write_at(6, b"67")
    writer.write_at(1, bytearray(b"12"))
    assert writer.present == [(1, 3), (6, 8)]
    writer.write_at(0, memoryview(b"0123"))
    writer.write_at(4, b"456789")
    writer.write_at(4, b"")
    assert (writer.present, told) == ([(0, 10)], [2, 4, 6, 10, 10])
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
        assert all(before[1] < after[0] for before, after in zip(spans.present(), spans.present()[1:], strict=False))


def test_an_earlier_attempt_is_continued(destination: int) -> None:
    Writer(destination, 10).write_at(2, b"234")
    told: list[int] = []
    writer = Writer(destination, 10, progress=told.append, present=[(2, 5)])
    writer.write_at(0, b"01")
    writer.write_at(5, b"56789")
    assert told == [5, 10]
    assert content(destination) == b"0123456789"


def test_without_a_size_the_file_grows(destination: int) -> None:
    writer = Writer(destination)
    writer.write_at(0, b"abc")
    writer.write_at(3, b"def")
    assert content(destination) == b"abcdef"


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let reading and writing cost nothing, and return a size that takes years even so."""
    monkeypatch.setattr(os, "preadv", lambda _file, buffers, _at: len(buffers[0]))
    monkeypatch.setattr(os, "pwrite", lambda _file, data, _at: len(data))
    return 2**60


def meeting(threads: int, then: Callable[[], None]) -> Callable[..., int]:
    """Return a preadv in which the threads meet once, whereupon one of them does something."""
    together, met = threading.Barrier(threads), threading.local()

    def preadv(_file: int, buffers: list[memoryview], _at: int) -> int:
        if not hasattr(met, "others"):
            met.others = together.wait(timeout=30)
            if met.others == 0:
                then()
        return len(buffers[0])

    return preadv


def test_when_one_thread_fails_the_others_stop_and_its_error_is_raised(
    destination: int, endless: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ConnectionResetError("the disk has gone")

    monkeypatch.setattr(os, "preadv", meeting(4, fail))
    with pytest.raises(ConnectionResetError, match="the disk has gone"):
        Writer(destination).copy(-1, endless, threads=4, chunk=CHUNK)


# In a process of its own: here the signal might meet something else.
INTERRUPTED = """
import os, signal, threading
from vimeo_api.core.storage.writer import Writer

together = threading.Barrier(4, lambda: os.kill(os.getpid(), signal.SIGINT))
met = threading.local()

def preadv(_file, buffers, _at):
    if not hasattr(met, "others"):
        met.others = together.wait(timeout=30)
    return len(buffers[0])

os.preadv, os.pwrite = preadv, lambda _file, data, _at: len(data)
try:
    Writer(os.open(os.devnull, os.O_RDWR)).copy(-1, 2**60, threads=4, chunk=4096)
except KeyboardInterrupt:
    print(threading.active_count(), "thread is left")
"""


def test_an_interrupt_stops_all_threads() -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("1 thread is left\n", "")


def test_an_error_in_the_progress_callback_fails_the_copy(destination: int, endless: int) -> None:
    def progress(written: int) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Writer(destination, progress=progress).copy(-1, endless, threads=2, chunk=CHUNK)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.system(f"mount -t tmpfs -o size=1m tmpfs {folder}") != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("only root may mount a filesystem, and not everywhere")
    yield folder
    assert os.system(f"umount {folder}") == 0


def test_a_disk_that_is_too_small_is_reported_before_the_first_byte(small_disk: Path) -> None:
    with (small_disk / "file").open("wb") as file, pytest.raises(StorageFull):
        Writer(file.fileno(), 2 * MEGABYTE)


def test_a_disk_that_fills_up_is_one_error(small_disk: Path) -> None:
    with (small_disk / "file").open("wb") as file:
        writer = Writer(file.fileno())

        def fill(start: int) -> None:
            for at in range(start, 16 * MEGABYTE, 4 * CHUNK):
                writer.write_at(at, bytes(CHUNK))

        with ThreadPoolExecutor(4) as pool:
            fillings = [pool.submit(fill, start) for start in range(0, 4 * CHUNK, CHUNK)]
        assert {type(filling.exception()) for filling in fillings} == {StorageFull}
        assert 0 < sum(end - start for start, end in writer.present) <= MEGABYTE


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
