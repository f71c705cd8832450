"""Space on the disk, promised to an upload when it announces its length, so that several cannot fill the disk together.

    SPOOL_DIR/.reserved/<name>     the announced length in bytes, as text, until the upload is over

What is promised and not yet written is what was announced, less what is in the spool. nginx asks for large uploads
before their first byte (`web.hooks.admission`) and notes in its journal when one is over, however it ended; in the
embedded profile a request reserves by itself. Uploads leave KEEP_FREE bytes, so that database, journal and logs can
still be written and files deleted. Knows no app: `extensions.reservations` is the one of the app.
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
from vimeo_api.core.storage import locks
from vimeo_api.core.storage.blobs import full_disk_is_said

LEAST = 8 * 1024**2  # bytes; shorter uploads are not announced, and only `check_spool_space` stops them
LIFETIME = 6 * 3600  # seconds; of a promise whose end nobody has told
_NAME = re.compile(r"[0-9a-f]{32}")


class Reservations:
    """The promises of space in one spool."""

    def __init__(self, spool: Path, *, keep_free: int) -> None:
        """Promise space in the spool, but for the last `keep_free` bytes of its disk."""
        self.spool = spool
        self._folder = spool / ".reserved"
        self._keep_free = keep_free

    def check_spool_space(self, size: int = 0) -> None:
        """Raise StorageFull unless `size` bytes can be written to the spool and enough is left."""
        if shutil.disk_usage(self.spool).free - size < self._keep_free:
            raise StorageFull(os.strerror(errno.ENOSPC))

    def reserve(self, name: str, length: int) -> None:
        """Promise space for `length` bytes to the upload of that name, 32 hexadecimal digits.

        Raises StorageFull, and Unavailable if a process that hangs holds the lock.
        """
        with full_disk_is_said(), locks.held(self._folder / "lock"):
            outstanding = max(0, sum(self._promised()) - sum(self._received()))
            self.check_spool_space(outstanding + length)
            self._path(name).write_text(str(length))

    def release(self, name: str) -> None:
        """Take back the promise to an upload that is over; there need not be one."""
        self._path(name).unlink(missing_ok=True)

    @contextmanager
    def reserved(self, length: int) -> Iterator[None]:
        """Promise space for `length` bytes until the block ends. Raises StorageFull."""
        if length < LEAST:
            self.check_spool_space(length)
            yield
            return
        name = identifiers.random_hex()
        self.reserve(name, length)
        try:
            yield
        finally:
            self.release(name)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(name)
        return self._folder / name

    def _promised(self) -> Iterator[int]:
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError, ValueError):  # released meanwhile, or the lock
                if path.stat().st_mtime < time.time() - LIFETIME:
                    path.unlink(missing_ok=True)
                elif path.name != "lock":
                    yield int(path.read_text())

    def _received(self) -> Iterator[int]:
        """Yield the sizes of the bodies in the spool; what is fetched there has its space already."""
        for path in self.spool.iterdir():
            with suppress(FileNotFoundError):
                if path.is_file() and not path.name.startswith("fetch-"):
                    yield path.stat().st_size
