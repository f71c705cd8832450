"""Cut off bodies that nginx is writing into the spool before they take the space that must stay free.

nginx consults nobody while it writes a body, so a body of unknown length, many small ones, or ones that outlast their
reservation could fill the disk. One thread per host (`wsgi` starts one in each process, a lock lets one work)
checks the free space, more often as it shrinks. Once it gets low, the thread empties the largest body for
which no space is reserved, and keeps emptying it while nginx writes. An execute bit marks the file, so this survives
a restart; `blobs.adopt` refuses a marked body with StorageFull. nginx cannot be made to hang up, so the client sees the
507 when it has sent everything.

A body that the service has adopted is locked, flock(2), or linked into the store, and is left alone.
"""

import fcntl
import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from vimeo_api.core.storage.blobs import CUT
from vimeo_api.core.storage.reservations import Body, Reservations

MOST_MARGIN = 64 * 1024**2  # bytes; with less than this free above KEEP_FREE, bodies are cut off
LEAST_BODY = 1024**2  # bytes; a smaller one is cut off only once KEEP_FREE itself is touched
FASTEST = 2 * 1024**3  # bytes per second that a disk takes at most
SHORTEST_PAUSE, CUTTING_PAUSE, LONGEST_PAUSE = 0.01, 0.1, 1.0  # seconds

_log = logging.getLogger(__name__)


def start(reservations: Reservations, lock: Path) -> None:
    """Watch the spool from a thread of this process, once no other process does."""
    threading.Thread(target=_run, args=(SpoolWatch(reservations), lock), name="spool-watch", daemon=True).start()


def _run(watch: "SpoolWatch", lock: Path) -> None:
    lock.parent.mkdir(mode=0o700, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        while True:
            try:
                pause = watch.look()
            except OSError as error:
                _log.warning("the spool cannot be watched: %s", error.strerror)
                pause = LONGEST_PAUSE
            time.sleep(pause)


class SpoolWatch:
    """Looks at the spool of some reservations."""

    def __init__(self, reservations: Reservations) -> None:
        """Begin without knowing whether the last watch has left bodies cut off."""
        self._reservations = reservations
        self._margin = min(reservations.keep_free, MOST_MARGIN)
        self._cutting = True

    def look(self) -> float:
        """Cut off what must be; return after how many seconds to look again. Raises OSError."""
        spare = self._reservations.space() - self._margin
        if self._cutting or spare < 0:
            bodies = self._reservations.bodies()
            marked = [body for body in bodies if body.mode & CUT]
            for body in marked:
                _empty(body.path)
            self._cutting = bool(marked)
            if spare < 0:
                self._cut(-spare, [body for body in bodies if not body.mode & CUT and body.links == 1])
        longest = CUTTING_PAUSE if self._cutting else LONGEST_PAUSE
        return max(SHORTEST_PAUSE, min(longest, spare / FASTEST))

    def _cut(self, missing: int, bodies: list[Body]) -> None:
        """Cut off bodies until `missing` bytes are free again.

        Bodies that are small or have a reservation are spared until KEEP_FREE itself is at stake.
        """
        covered = self._reservations.covered()
        for body in sorted(bodies, key=lambda body: (body.path in covered, -body.size)):
            spared = body.path in covered or body.size < LEAST_BODY
            if missing > (self._margin if spared else 0) and _cut(body.path):
                self._cutting = True
                missing -= body.size


def _cut(path: Path) -> bool:
    """Mark and empty a body unless the service has it; return whether it was."""
    with suppress(FileNotFoundError, BlockingIOError):
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink == 1:
                os.fchmod(descriptor, 0o600 | CUT)
                os.ftruncate(descriptor, 0)
                _log.warning("an upload is cut off: the spool has no space for it")
                return True
        finally:
            os.close(descriptor)
    return False


def _empty(path: Path) -> None:
    with suppress(FileNotFoundError):
        os.truncate(path, 0)
