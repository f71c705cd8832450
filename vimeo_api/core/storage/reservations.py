"""Reserve disk space for an upload when it announces its length, so that several cannot fill the disk together.

    SPOOL_DIR/.reserved/<name>     JSON about the upload, until it is over

nginx reserves for large uploads before their first byte (`web.hooks.admission`), and its journal says when one is over,
however it ended; in the embedded profile the request reserves for itself, and so does each fetch of a URL. A
reservation shrinks to what can arrive soon at the upload's own rate: announcing alone holds space for seconds only.
Uploads leave KEEP_FREE bytes and KEEP_FREE_FILES names, so that database, journal and logs can still be written and
files deleted: everything that writes checks that, and `spool_watch` watches what nginx writes. This module
does not depend on the app: the app's object is `extensions.reservations`. Source: statvfs(3).
"""

import errno
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vimeo_api.core import identifiers
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.storage import locks
from vimeo_api.core.storage.folders import raising_storage_full

MIN_RESERVED_BYTES = 8 * 1024**2  # shorter uploads reserve nothing; only `check_spool_space` stops them
FULL_SECONDS = 10  # how long a reservation holds all that was announced
IDLE_SECONDS = 30  # without a byte; then it holds nothing until more arrive
AHEAD_SECONDS = 600  # what can arrive in this time is held
RESERVATION_SECONDS = 6 * 3600  # until a reservation ends whose upload was never reported as over
NOTE_SECONDS, NOTE_BYTES = 1, 4 * 1024**2  # after either of them, how much has arrived is noted again
_NAME = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Body:
    """A body that nginx is writing or has written into the spool."""

    path: Path
    size: int  # bytes
    written_at: float
    links: int
    mode: int


@dataclass(frozen=True, slots=True)
class _Promise:
    """What is known of an upload that has reserved space."""

    announced: int  # bytes
    client: str
    begun_at: float
    received: int | None = None  # bytes; None: nginx writes them, into one of the bodies
    moved_at: float = 0.0  # when the last bytes arrived

    def moves(self, moment: float) -> bool:
        """Return whether the upload has just begun or bytes of it have just arrived."""
        return moment - self.begun_at < FULL_SECONDS or moment - self.moved_at < IDLE_SECONDS

    def held(self, moment: float) -> int:
        """Return how many bytes are held for it now, beyond those that have arrived."""
        if not self.moves(moment):
            return 0
        received, age = self.received or 0, moment - self.begun_at
        left = max(0, self.announced - received)
        return left if age < FULL_SECONDS else min(left, int(received / age * AHEAD_SECONDS))


class Reservation:
    """The reservation of a running upload, which says how much has arrived."""

    def __init__(self, path: Path | None, promise: _Promise) -> None:
        """Keep the notes about an upload at a path, or none of them."""
        self._path = path
        self._promise = promise
        self._noted_at = time.monotonic()
        self._noted = promise.received or 0

    def advance(self, received: int) -> None:
        """Note how many bytes have arrived, now and then."""
        recent = time.monotonic() - self._noted_at < NOTE_SECONDS and received - self._noted < NOTE_BYTES
        if self._path is None or recent:
            return
        self._noted_at, self._noted = time.monotonic(), received
        with suppress(OSError):  # then it shrinks, and the check of each write still holds
            _write(self._path, replace(self._promise, received=received, moved_at=time.time()))


class Reservations:
    """The reservations of space in one spool."""

    def __init__(self, spool: Path, *, keep_free: int, keep_files: int = 0, share: float = 1) -> None:
        """Reserve space in the spool, but never the last `keep_free` bytes and `keep_files` names of its disk.

        All uploads of one client may reserve only this share of the space that is left.
        """
        self.spool = spool
        self.keep_free = keep_free
        self._folder = spool / ".reserved"
        self._keep_files = keep_files
        self._share = share
        self._announced: dict[str, tuple[int, str]] = {}  # by name: what never changes, bytes and client

    def space(self) -> int:
        """Return how many bytes fit in the spool before less than `keep_free` is left; negative once it is."""
        found = os.statvfs(self.spool)
        return found.f_bavail * found.f_frsize - self.keep_free

    def check_spool_space(self, size: int = 0) -> None:
        """Raise StorageFull unless `size` bytes fit in the spool and enough is left."""
        _check(size, self.space())
        found = os.statvfs(self.spool)
        if found.f_files and found.f_favail < self._keep_files:  # some filesystems do not count their files
            raise StorageFull(os.strerror(errno.ENOSPC))

    def reserve(self, name: str, length: int, *, client: str = "", received: int | None = None) -> Reservation:
        """Reserve space for the rest of an upload of `length` bytes; its name has 32 hexadecimal digits.

        `received` is None if nginx receives it. Raises StorageFull, and Unavailable if a hanging process holds the
        lock.
        """
        moment = time.time()
        promise = _Promise(length, client, moment, received, moment)
        wanted = promise.held(moment)
        with raising_storage_full(), locks.held(self._folder / "lock"):
            self.check_spool_space(wanted)
            if not self._fits_all(wanted, client):
                self._check(wanted, client, moment)
            _write(self._path(name), promise)
        return Reservation(self._path(name), promise)

    def _fits_all(self, wanted: int, client: str) -> bool:
        """Return whether there is space even if every upload sends all that it has announced.

        It is cheap, and mostly the case: it reads no file twice, so that a thousand uploads may begin at once.
        """
        names = {path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name)}
        for name in names - self._announced.keys():
            with suppress(FileNotFoundError, ValueError, KeyError):
                found = json.loads(self._path(name).read_text())
                self._announced[name] = int(found["announced"]), str(found["client"])
        for name in self._announced.keys() - names:
            del self._announced[name]
        space = self.space()
        if sum(announced for announced, _ in self._announced.values()) + wanted > space:
            return False
        theirs = sum(announced for announced, whose in self._announced.values() if whose == client)
        return not client or theirs + wanted <= int(self._share * space)

    def _check(self, wanted: int, client: str, moment: float) -> None:
        """Raise StorageFull unless there is space beside what the uploads can send soon."""
        space = self.space()
        promises = [each for each, _ in self._promises()]
        _check(sum(each.held(moment) for each in promises) + wanted, space)
        if client:
            theirs = sum(each.held(moment) for each in promises if each.client == client)
            _check(theirs + wanted, int(self._share * space))

    def release(self, name: str) -> None:
        """End the reservation of an upload, if there is one."""
        self._path(name).unlink(missing_ok=True)

    @contextmanager
    def reserved(self, length: int, *, client: str = "") -> Iterator[Reservation]:
        """Reserve space for `length` bytes until the block ends. Raises StorageFull."""
        if length < MIN_RESERVED_BYTES:
            self.check_spool_space(length)
            yield Reservation(None, _Promise(length, client, 0))
            return
        name = identifiers.random_hex()
        reservation = self.reserve(name, length, client=client, received=0)
        try:
            yield reservation
        finally:
            self.release(name)

    def bodies(self) -> list[Body]:
        """Return the bodies that nginx has in the spool; it names them by numbers."""
        found = []
        for path in self.spool.iterdir():
            with suppress(FileNotFoundError):
                facts = path.lstat()
                if path.name.isdigit() and stat.S_ISREG(facts.st_mode):
                    found.append(Body(path, facts.st_size, facts.st_mtime, facts.st_nlink, facts.st_mode))
        return found

    def covered(self) -> set[Path]:
        """Return the bodies for which space is reserved."""
        moment = time.time()
        return {body.path for promise, body in self._promises() if body is not None and promise.moves(moment)}

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(name)
        return self._folder / name

    def _promises(self) -> Iterator[tuple[_Promise, Body | None]]:
        """Yield all reservations, those of nginx with the body that is probably theirs.

        nginx does not say which body belongs to which request, so each body, the largest first, goes to the shortest
        announcement that it fits. A wrong guess moves held space from one upload to another.
        """
        theirs: list[_Promise] = []
        for promise in self._read():
            if promise.received is None:
                theirs.append(promise)
            else:
                yield promise, None
        theirs.sort(key=lambda promise: promise.announced)
        for body in sorted(self.bodies(), key=lambda body: -body.size) if theirs else ():
            if (mine := next((each for each in theirs if each.announced >= body.size), None)) is not None:
                theirs.remove(mine)
                yield replace(mine, received=body.size, moved_at=body.written_at), body
        for promise in theirs:
            yield promise, None

    def _read(self) -> Iterator[_Promise]:
        for path in self._folder.glob("*"):  # there is no folder before the first reservation
            if not _NAME.fullmatch(path.name):
                continue
            with suppress(FileNotFoundError, ValueError, TypeError):  # released meanwhile, or of an older version
                if path.stat().st_mtime < time.time() - RESERVATION_SECONDS:
                    path.unlink(missing_ok=True)
                else:
                    yield _Promise(**json.loads(path.read_text()))


def _check(wanted: int, space: int) -> None:
    if wanted > space:
        raise StorageFull(os.strerror(errno.ENOSPC))


def _write(path: Path, promise: _Promise) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(promise)))
    draft.replace(path)
