"""Names in folders: made durable, removed, opened and locked. `blobs` and `filesystem` build on it.

Sources: fsync(2), flock(2), open(2).
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from vimeo_api.core.errors import StorageFull

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
            if _is_at(path, descriptor):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether a path names an open file. Raises FileNotFoundError if it names nothing."""
    return os.path.samestat(os.fstat(descriptor), path.lstat())


@contextmanager
def draft(path: Path) -> Iterator[int | None]:
    """Open and lock a file, and remove it at the end of the block; yield None if another worker has it.

    A dead worker's lock is free. Raises StorageFull.
    """
    with raising_storage_full():
        make_folder(path.parent)
    descriptor = open_locked(path)
    if descriptor is None:
        yield None
        return
    try:
        yield descriptor
    finally:
        with suppress(FileNotFoundError):
            if _is_at(path, descriptor):  # once it is published, the name may be another worker's draft
                path.unlink()
        os.close(descriptor)


def opened(target: Path) -> FileIO:
    """Open a file for reading, unbuffered. A symbolic link counts as missing. Raises FileNotFoundError."""
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


def old_blobs(root: Path, age: float) -> Iterator[tuple[str, list[str]]]:
    """Yield the blobs below a folder that are at least `age` seconds old: their surface and names, folder by folder."""
    for folder in [path for path in root.glob("[!.]*/*") if path.is_dir()]:
        try:
            names = [path.name for path in folder.iterdir() if is_old(path, age)]
        except FileNotFoundError:
            continue  # removed meanwhile with its last file
        if names:
            yield folder.parent.name, names


def is_old(path: Path, age: float) -> bool:
    """Return whether a path is a file that was written at least `age` seconds ago."""
    try:
        return path.is_file() and time.time() - path.lstat().st_mtime >= age
    except FileNotFoundError:
        return False
