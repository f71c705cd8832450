"""Locks among the processes of a host, flock(2), with a timeout; `blobs`, `reservations`, `shared_locks` hold them."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from vimeo_api.core.errors import Unavailable

WAIT_SECONDS = 30  # longer than a holder waits for a hanging database
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.01  # seconds between two tries: flock(2) has no timeout


@contextmanager
def held(path: Path, *, seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold a lock, whose file is created if missing; the kernel releases the lock of a process that dies.

    Raises Unavailable if a hanging process does not release it in time.
    """
    with _opened(path) as lock:
        deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
        while not _taken(lock):
            if time.monotonic() > deadline:
                raise Unavailable(f"The lock {path.name} was not released in time.")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        yield


@contextmanager
def tried(path: Path) -> Iterator[bool]:
    """Hold a lock if it is free; yield whether it was."""
    with _opened(path) as lock:
        yield _taken(lock)


def _opened(path: Path) -> FileIO:
    try:
        return path.open("wb", buffering=0)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return path.open("wb", buffering=0)


def _taken(lock: FileIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
