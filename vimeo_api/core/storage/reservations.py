"""Room on the disk: promised to an upload when it announces its length, so that several cannot fill the disk together.

    SPOOL_DIR/.reserved/<name>     the announced length in bytes, as text, until the upload is over

What is promised and not yet written is what was announced, less what lies in the spool. nginx asks for large uploads
before their first byte (`web.admission`) and tells in its journal when one is over, however it ended; in the embedded
profile a request reserves by itself. KEEP_FREE bytes are left alone, so that database, journal and logs can be written
and files deleted when no more are taken.
"""

import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vimeo_api.core import identifiers
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.storage import blobs, locks
from vimeo_api.extensions import settings

LEAST = 8 * 1024**2  # bytes; shorter uploads are not announced, and only `check_room` stops them
LIFETIME = 6 * 3600  # seconds; of a promise whose end nobody has told
_NAME = re.compile(r"[0-9a-f]{32}")
_FOLDER = ".reserved"


def check_room(size: int = 0) -> None:
    """Raise StorageFull unless so many bytes can be written to the spool and enough is left."""
    if shutil.disk_usage(settings.spool_dir).free - size < settings.keep_free:
        raise StorageFull(os.strerror(errno.ENOSPC))


def reserve(name: str, length: int) -> None:
    """Promise room for so many bytes to the upload of that name, 32 hexadecimal digits.

    Raises StorageFull, and Unavailable when a process that hangs holds the lock.
    """
    folder = settings.spool_dir / _FOLDER
    with blobs.full_disk_is_said(), locks.held(folder / "lock"):
        outstanding = max(0, sum(_promised(folder)) - sum(_received()))
        check_room(outstanding + length)
        _path(name).write_text(str(length))


def release(name: str) -> None:
    """Take back the promise to an upload that is over; there need not be one."""
    _path(name).unlink(missing_ok=True)


@contextmanager
def reserved(length: int) -> Iterator[None]:
    """Promise room for so many bytes for the length of the block. Raises StorageFull."""
    if length < LEAST:
        check_room(length)
        yield
        return
    name = identifiers.random_hex()
    reserve(name, length)
    try:
        yield
    finally:
        release(name)


def _path(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ValueError(name)
    return settings.spool_dir / _FOLDER / name


def _promised(folder: Path) -> Iterator[int]:
    for path in folder.iterdir():
        with suppress(FileNotFoundError, ValueError):  # released meanwhile, or the lock
            if path.stat().st_mtime < time.time() - LIFETIME:
                path.unlink(missing_ok=True)
            elif path.name != "lock":
                yield int(path.read_text())


def _received() -> Iterator[int]:
    """Yield the sizes of the bodies in the spool; what is fetched there has its room already."""
    for path in settings.spool_dir.iterdir():
        with suppress(FileNotFoundError):
            if path.is_file() and not path.name.startswith("fetch-"):
                yield path.stat().st_size
