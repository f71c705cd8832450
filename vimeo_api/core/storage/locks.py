"""Locks among processes, flock(2), for which nobody waits without end; `blobs`, `reservations`, `digests` hold them."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vimeo_api.core.errors import Unavailable

SECONDS = 30  # longer than whoever holds one waits for a database that hangs
_GLANCE, _LONGEST_GLANCE = 0.0005, 0.01  # seconds between two looks, for flock(2) knows no time limit


@contextmanager
def held(path: Path, *, seconds: float = SECONDS) -> Iterator[None]:
    """Hold a lock, whose file is made if need be; the kernel takes it from a process that dies.

    Raises Unavailable when a process that hangs does not let go of it in time.
    """
    with _opened(path) as lock:
        deadline, glance = time.monotonic() + seconds, _GLANCE
        while not _taken(lock):
            if time.monotonic() > deadline:
                raise Unavailable(f"The lock {path.name} is not let go of.")
            time.sleep(glance)
            glance = min(2 * glance, _LONGEST_GLANCE)
        yield


@contextmanager
def tried(path: Path) -> Iterator[bool]:
    """Hold a lock if nobody has it, and tell whether that is so."""
    with _opened(path) as lock:
        yield _taken(lock)


def _opened(path: Path) -> IO[str]:
    try:
        return path.open("w")
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return path.open("w")


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
