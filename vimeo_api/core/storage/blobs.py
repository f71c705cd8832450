"""The disk: bytes are staged in the spool, published into the store by a hard link, and removed.

This module does not depend on the app: the app's object, with its folders, is `extensions.blobs`.

    SPOOL_DIR/<random>                         being received; after a crash, the reconciliation removes it
    STORE_DIR/<surface>/<ab>/<blob>            published: complete, fsynced, never written again
    SPOOL_DIR/landing/<surface>/<ab>/<blob>    the pending area: published, until `placing` has copied it to a store on
                                               another filesystem
    DATA_DIR/locks/<surface>-<ab>              held while a blob of that folder is published or removed

Order on the way in: write → fsync → link → fsync of the directory → row. A crash before the row leaves bytes
without a row, never a row without bytes. Order on the way out: row → unlink → row again (purged).
Sources: fsync(2), link(2), open(2).
"""

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from vimeo_api.core import identifiers
from vimeo_api.core.errors import Malformed, StorageFull, Unavailable
from vimeo_api.core.storage import locks
from vimeo_api.core.storage.mount_check import MountCheck

PENDING = "landing"  # the old name on disk and in nginx, so that running installations still find their files
CUT = stat.S_IXUSR  # marks a body in the spool that was cut off, because the disk had no space for it
CUT_CHUNK = 256 * 1024  # bytes moved at once; they stay in the processor's cache between the read and the write
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def raising_storage_full() -> Iterator[None]:
    """Raise StorageFull instead of an OSError that means a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull(os.strerror(error.errno or 0)) from error
        raise


class Staging:
    """Bytes in the spool that are not published yet; leaving the `with` block discards the file."""

    def __init__(self, path: Path, descriptor: int, *, owned: bool) -> None:
        """Wrap an open file; if `owned`, we remove its name, else its creator does."""
        self.path = path
        self.descriptor = descriptor
        self._owned = owned

    @property
    def size(self) -> int:
        """Bytes so far."""
        return os.fstat(self.descriptor).st_size

    @property
    def head(self) -> bytes:
        """The first 512 bytes, enough to detect a media type."""
        return os.pread(self.descriptor, 512, 0)

    def digest(self, algorithm: str) -> str:
        """Return the hexadecimal digest of all bytes, by an algorithm that hashlib knows."""
        with os.fdopen(os.dup(self.descriptor), "rb") as file:
            file.seek(0)
            return hashlib.file_digest(file, algorithm).hexdigest()

    def sync(self) -> None:
        """Make the bytes durable, the slow part of publishing. Raises StorageFull."""
        with raising_storage_full():
            os.fsync(self.descriptor)

    def write(self, data: bytes) -> None:
        """Append data. Raises StorageFull."""
        view = memoryview(data)
        with raising_storage_full():
            while view:
                view = view[os.write(self.descriptor, view) :]

    def cut(self, start: int, stop: int) -> None:
        """Keep only the bytes from `start` up to but not including `stop`, by moving them to the front.

        Moving in place takes a third of the time of a copy in the kernel, because no page and no block is new.
        fallocate(2) can only remove whole blocks, and copy_file_range(2) refuses overlaps. Raises StorageFull.
        """
        buffer = memoryview(bytearray(min(CUT_CHUNK, stop - start)))
        position = start
        with raising_storage_full():
            while position < stop:
                count = os.preadv(self.descriptor, [buffer[: stop - position]], position)
                if count == 0:
                    raise OSError(errno.EIO, "The file has shrunk while it was cut", str(self.path))
                _write_at(self.descriptor, buffer[:count], position - start)
                position += count
            os.ftruncate(self.descriptor, stop - start)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)
        if self._owned:
            self.path.unlink(missing_ok=True)


def _write_at(descriptor: int, view: memoryview, position: int) -> None:
    while view:
        written = os.pwrite(descriptor, view, position)
        view, position = view[written:], position + written


class Blobs:
    """The bytes of all files, in the spool and in the store."""

    def __init__(self, *, spool: Path, store: Path, locks: Path, mount_check: MountCheck) -> None:
        """Keep bytes in these folders; `mount_check` tells whether the store is mounted."""
        self.spool = spool
        self.store = store
        self.pending = spool / PENDING
        self._locks = locks
        self._mount_check = mount_check

    def stage(self) -> Staging:
        """Create a file in the spool that only its creator writes. Raises StorageFull."""
        path = self.spool / identifiers.random_hex()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with raising_storage_full():
            return Staging(path, os.open(path, flags, 0o600), owned=True)

    def adopt(self, path: Path) -> Staging:
        """Open a body file that nginx has spooled; nginx removes it once the request is over.

        Raises Malformed if it is not in the spool, and StorageFull if `spool_watch` has cut it off.
        """
        if path.parent != self.spool:
            raise Malformed("The body file does not lie in the spool.")
        staging = Staging(path, os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), owned=False)
        fcntl.flock(staging.descriptor, fcntl.LOCK_SH)  # from now on it is not cut off any more
        if os.fstat(staging.descriptor).st_mode & CUT:
            os.close(staging.descriptor)
            raise StorageFull(os.strerror(errno.ENOSPC))
        return staging

    @contextmanager
    def locked(self, surface: str, blob: str) -> Iterator[None]:
        """Keep every other process and thread from publishing or removing a blob in the same folder, flock(2).

        So a blob that files share by digest is not removed while it is uploaded again, and an empty folder is not
        removed while a blob is about to be put there. Raises Unavailable if a hanging process holds the lock.
        """
        with locks.held(self._locks / f"{surface}-{blob[:2]}"):
            yield

    def publish(self, staging: Staging, surface: str, blob: str) -> bool:
        """Give synced bytes their durable name, under `locked`; return whether that is in the pending area.

        Raises StorageFull, and FileExistsError if the blob already exists.
        """
        pending = self.uses_pending()
        target = self.path(surface, blob, pending=pending)
        with raising_storage_full():
            make_folder(target.parent)
            try:
                target.hardlink_to(staging.path)
            finally:
                fsync_folder(target.parent)  # also if the name exists: the process that linked it may have been killed
        return pending

    def uses_pending(self) -> bool:
        """Return whether new files go to the pending area, because the spool cannot be hard-linked into the store.

        They also go there while the store is not mounted.
        """
        try:
            return self._store_is_apart
        except Unavailable:
            return True

    def path(self, surface: str, blob: str, *, pending: bool = False) -> Path:
        """Return where the bytes of a blob are, in the store or in the pending area."""
        return (self.pending if pending else self.store) / relative(surface, blob)

    def opened(self, surface: str, blob: str, *, pending: bool = False) -> FileIO:
        """Open the bytes of a blob for reading, unbuffered. A symbolic link counts as missing.

        Raises FileNotFoundError.
        """
        if pending:
            with suppress(FileNotFoundError):  # placed since its row was read, so it is in the store
                return _opened(self.path(surface, blob, pending=True))
        return _opened(self.path(surface, blob))

    def remove(self, surface: str, blob: str) -> None:
        """Remove the bytes of a blob for good, wherever they are, under `locked`. Missing bytes are no error."""
        remove_from(self.path(surface, blob))
        if self.uses_pending():
            remove_from(self.path(surface, blob, pending=True))

    @cached_property
    def _store_is_apart(self) -> bool:
        """Whether the store is on another filesystem than the spool. Raises Unavailable while it is not mounted."""
        self._mount_check.check()  # an empty mount point would tell us nothing about the store
        # We try a link, because two mounts of one device have the same number but refuse links. We link the spool
        # folder itself: no filesystem allows that (link(2), EPERM), so a process killed here leaves nothing behind.
        # link(2) does not follow symbolic links, hence `resolve`.
        if self.spool.stat().st_dev != self.store.stat().st_dev:
            return True
        try:
            (self.store / f".probe-{identifiers.random_hex()}").hardlink_to(self.spool.resolve())
        except OSError as error:
            if error.errno not in {errno.EXDEV, errno.EPERM}:
                raise
            return error.errno == errno.EXDEV
        raise OSError(errno.EISDIR, "A folder was linked", str(self.spool))


def open_locked(path: Path, mode: int = 0o600) -> int | None:
    """Open and lock a file, created if missing; return its descriptor, or None if it is locked already, flock(2).

    Raises StorageFull.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        with raising_storage_full():
            descriptor = os.open(path, flags, mode)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between our open and our lock, the last holder may have removed or published it.
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _opened(target: Path) -> FileIO:
    try:
        descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileNotFoundError(errno.ENOENT, "A symbolic link lies in the store", target.name) from error
        raise
    return os.fdopen(descriptor, "rb", buffering=0)


def relative(surface: str, blob: str) -> str:
    """Return the path of a blob below the store or the pending area, as in nginx's internal locations."""
    return f"{surface}/{blob[:2]}/{blob}"


def remove_from(target: Path) -> None:
    """Remove one file of a blob, and its folder if that is empty, under `locked`."""
    with suppress(FileNotFoundError):
        target.unlink()
        fsync_folder(target.parent)
    # It fails if the folder is not empty or already gone.
    with suppress(OSError):
        target.parent.rmdir()


def make_folder(folder: Path) -> None:
    """Create a folder below the store or the pending area, and its parents, durably."""
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    fsync_folder(folder.parent)


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
