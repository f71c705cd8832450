"""Bytes are staged in the spool, published into the store or the pending area by a hard link, and removed.

This module does not depend on the app: the app's object, with its folders, is `extensions.blobs`.

    SPOOL_DIR/<random>                         being received; after a crash, the reconciliation removes it
    STORE_DIR/<surface>/<ab>/<blob>            published: complete, fsynced, never written again (`filesystem`)
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
from io import RawIOBase
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from vimeo_api.core import identifiers
from vimeo_api.core.errors import Malformed, StorageFull, Unavailable
from vimeo_api.core.storage import folders, locks, object_store
from vimeo_api.core.storage.filesystem import Filesystem
from vimeo_api.core.storage.folders import fsync_folder, make_folder, raising_storage_full, relative, remove_from
from vimeo_api.core.storage.mount_check import MountCheck
from vimeo_api.core.storage.object_store import ObjectStore
from vimeo_api.core.storage.stores import Store

PENDING = "landing"  # the old name on disk and in nginx, so that running installations still find their files
CUT = stat.S_IXUSR  # marks a body in the spool that was cut off, because the disk had no space for it
CUT_CHUNK = 256 * 1024  # bytes moved at once; they stay in the processor's cache between the read and the write


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
    def modified(self) -> int:
        """When the last byte was written, in seconds since 1970; the published file keeps this time."""
        return int(os.fstat(self.descriptor).st_mtime)

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


class Located(Protocol):
    """What says where the bytes of a file are: its row, or an entry made of it."""

    @property
    def surface(self) -> str:
        """The surface that the file belongs to."""

    @property
    def blob(self) -> str:
        """The name of its bytes."""

    @property
    def size(self) -> int:
        """How many bytes it has."""

    @property
    def pending(self) -> bool:
        """Whether they are in the pending area."""

    @property
    def store(self) -> str:
        """In which store they are otherwise."""


class Blobs:
    """The bytes of all files, in the spool and in the stores."""

    def __init__(
        self, *, spool: Path, store: Path, locks: Path, mount_check: MountCheck, remote: ObjectStore | None = None
    ) -> None:
        """Keep bytes in these folders, or place them in a remote store, if there is one.

        `mount_check` tells whether the folder `store` is mounted.
        """
        self.spool = spool
        self.pending = spool / PENDING
        self.filesystem = Filesystem(store, mount_check)
        self.remote = remote
        self.target: Store = remote or self.filesystem  # where files are placed
        self.stores: dict[str, Store] = {store.name: store for store in (self.filesystem, self.target)}
        self._locks = locks
        self._mount_check = mount_check

    @property
    def store(self) -> Path:
        """The folder of stored files."""
        return self.filesystem.root

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

    @property
    def objects(self) -> ObjectStore:
        """The object store. Raises Unavailable if it is not configured, though a row says that it has the bytes."""
        store = self.stores.get(object_store.NAME)
        if not isinstance(store, ObjectStore):
            raise Unavailable("A file lies in an object store, but STORE_URL is not set.")
        return store

    def _of(self, file: Located) -> Store:
        """Return the store that a row names."""
        return self.filesystem if file.store == self.filesystem.name else self.objects

    @property
    def shared_by_digest(self) -> bool:
        """Whether equal content is one blob, named by its digest. Elsewhere no name is used twice."""
        return self.target is self.filesystem

    def uses_pending(self) -> bool:
        """Return whether new files go to the pending area, because the spool cannot be hard-linked into the store.

        They also go there while the store is not mounted.
        """
        if self.target is not self.filesystem:
            return True
        try:
            return self._store_is_apart
        except Unavailable:
            return True

    def path(self, surface: str, blob: str, *, pending: bool = False) -> Path:
        """Return where the bytes of a blob are, in the store or in the pending area."""
        return (self.pending if pending else self.store) / relative(surface, blob)

    def modified(self, surface: str, blob: str, *, pending: bool) -> int:
        """Return when a published blob was written, in seconds since 1970."""
        return int(self.path(surface, blob, pending=pending).stat().st_mtime)

    def opened(self, file: Located) -> RawIOBase:
        """Open the bytes of a file for reading, unbuffered. Raises FileNotFoundError, Damaged and Unavailable."""
        if file.pending:
            with suppress(FileNotFoundError):  # placed since its row was read, so it is in the store
                return folders.opened(self.path(file.surface, file.blob, pending=True))
            return self.target.open(file.surface, file.blob, file.size)
        return self._of(file).open(file.surface, file.blob, file.size)

    def size(self, file: Located) -> int:
        """Return how many bytes of a file there are. Raises FileNotFoundError and Unavailable."""
        if file.pending:
            return self.path(file.surface, file.blob, pending=True).stat().st_size
        return self._of(file).size(file.surface, file.blob)

    def unpublish(self, surface: str, blob: str) -> None:
        """Remove the bytes of a blob from the folders of this host, under `locked`. Missing bytes are no error."""
        self.filesystem.remove(surface, blob)
        if self.uses_pending():
            remove_from(self.path(surface, blob, pending=True))

    def remove_remote(self, surface: str, blob: str) -> None:
        """Remove a blob from the object store, if there is one. A missing one is no error. Raises Unavailable.

        Nobody holds `locked` meanwhile, for it can take long; it need not be, because no other file has this blob.
        """
        if self.remote is not None:
            self.remote.remove(surface, blob)

    def check(self, file: Located) -> None:
        """Raise Unavailable if the bytes of a file are only missing because their store is."""
        (self.target if file.pending else self._of(file)).check()

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
