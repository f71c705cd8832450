"""The bytes of resumable uploads until they are files.

    SPOOL_DIR/unfinished/<key>          the part: the first bytes of an upload, in the order of the upload
    SPOOL_DIR/unfinished/<key>.lock     held while somebody writes to the part, or makes a file of it

Bytes beyond the offset in the row are not promised to anybody; the next request that appends cuts them off. The row is
removed first, then the part, so a crash leaves parts without a row, which the reconciliation removes.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vimeo_api.core.errors import BytesLost, Unavailable
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.core.storage.folders import fsync_folder, make_folder, open_locked, raising_storage_full
from vimeo_api.core.storage.locks import WAIT_SECONDS
from vimeo_api.core.storage.writer import Writer
from vimeo_api.extensions import blobs

FOLDER = "unfinished"
JOIN_CHECKPOINT = 256 * 1024**2  # bytes of a join that a kill may cost
_PAUSE = 0.01  # seconds between two tries: flock(2) has no timeout


def folder() -> Path:
    """Return the folder of all parts."""
    return blobs.spool / FOLDER


def path(key: str) -> Path:
    """Return where the part of an upload is, if it has bytes."""
    return folder() / key


@contextmanager
def locked(key: str, *, seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Keep every other process and thread from writing to a part. Raises Unavailable if that takes too long."""
    descriptor = _lock(key, time.monotonic() + seconds)
    try:
        yield
    finally:
        os.close(descriptor)


def is_locked(key: str) -> bool:
    """Return whether somebody writes to a part."""
    with suppress(Unavailable), locked(key, seconds=0):
        return False
    return True


def check(key: str, offset: int) -> None:
    """Raise BytesLost if a part is shorter than what was promised, for example because its disk was replaced."""
    try:
        size = os.stat(f"{blobs.spool}/{FOLDER}/{key}").st_size if offset else 0  # noqa: PTH116 -- at each HEAD
    except FileNotFoundError:
        size = 0
    if size < offset:
        raise BytesLost


@contextmanager
def opened(key: str, offset: int) -> Iterator[Staging]:
    """Open a part, under `locked`, to append at the offset; bytes beyond it are cut off.

    Raises BytesLost and StorageFull.
    """
    check(key, offset)
    make_folder(folder())
    is_new = not path(key).exists()
    with raising_storage_full():
        descriptor = os.open(path(key), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with Staging(path(key), descriptor, owned=False) as part:
        if is_new:
            fsync_folder(folder())
        os.ftruncate(descriptor, offset)
        os.lseek(descriptor, offset, os.SEEK_SET)
        yield part


def take(key: str, offset: int, body: Path) -> None:
    """Make a body file the continuation of a part, durably and under `locked`. Raises BytesLost and StorageFull.

    At the beginning the file itself becomes the part, later its bytes are copied.
    """
    with blobs.adopt(body) as source:
        if offset:
            with opened(key, offset) as part:
                Writer(part.descriptor).copy(source.descriptor, source.size, at=offset)
                part.sync()
            body.unlink(missing_ok=True)
        else:
            source.sync()
            make_folder(folder())
            body.replace(path(key))
            fsync_folder(folder())


def join(key: str, sources: list[tuple[str, int]], *, done: int, note: Callable[[int], None]) -> None:
    """Write the parts of others, each with its size, into the part of an upload, one after the other, durably.

    The first `done` bytes are there from an earlier attempt. `note` is called with how many are durable, now and then.
    Raises StorageFull, BytesLost if it has fewer than `done` bytes, and EndsEarly or FileNotFoundError for a part that
    is not whole.
    """
    with opened(key, done) as part:
        whole, noted = sum(size for _, size in sources), done
        writer = Writer(part.descriptor, whole)
        for source, start, size, at in _pieces(sources, done):
            with path(source).open("rb", buffering=0) as file:
                writer.copy(file.fileno(), size, at=at, start=start)
            if at + size - noted >= JOIN_CHECKPOINT:
                part.sync()
                note(noted := at + size)
        part.sync()
        note(whole)


def remove(key: str) -> None:
    """Remove the bytes of an upload. Missing ones are no error."""
    path(key).unlink(missing_ok=True)
    _lock_path(key).unlink(missing_ok=True)


def leftovers() -> Iterator[Path]:
    """Yield all files in the folder of the parts."""
    with suppress(FileNotFoundError):
        yield from folder().iterdir()


def _pieces(sources: list[tuple[str, int]], done: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield what is missing after the first `done` bytes: a part, from where in it, how many bytes, and to where."""
    begin = 0
    for source, size in sources:
        for at in range(max(begin, done), begin + size, JOIN_CHECKPOINT):
            yield source, at - begin, min(JOIN_CHECKPOINT, begin + size - at), at
        begin += size


def _lock_path(key: str) -> Path:
    return folder() / f"{key}.lock"


def _lock(key: str, deadline: float) -> int:
    make_folder(folder())
    while (descriptor := open_locked(_lock_path(key))) is None:
        if time.monotonic() > deadline:
            raise Unavailable("Another request writes to this upload.")
        time.sleep(_PAUSE)
    return descriptor
