"""Reserve disk space for an upload when it announces its length, so that several cannot fill the disk together.

    SPOOL_DIR/.reserved/<name>     the announced length in bytes, as text, until the upload is over

The space that is reserved but not yet written is the announced bytes minus the bytes in the spool. nginx reserves for
large uploads before their first byte (`web.hooks.admission`), and its journal says when one is over, however it ended;
in the embedded profile, the request reserves for itself. Uploads leave KEEP_FREE bytes, so that database, journal and
logs can still be written and files deleted. This module knows no app: the app's object is `extensions.reservations`.
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
from vimeo_api.core.storage.blobs import raising_storage_full

MIN_RESERVED_BYTES = 8 * 1024**2  # shorter uploads reserve nothing; only `check_spool_space` stops them
RESERVATION_SECONDS = 6 * 3600  # until a reservation ends whose upload was never reported as over
_NAME = re.compile(r"[0-9a-f]{32}")


class Reservations:
    """The reservations of space in one spool."""

    def __init__(self, spool: Path, *, keep_free: int) -> None:
        """Reserve space in the spool, but never the last `keep_free` bytes of its disk."""
        self.spool = spool
        self._folder = spool / ".reserved"
        self._keep_free = keep_free

    def check_spool_space(self, size: int = 0) -> None:
        """Raise StorageFull unless `size` bytes fit in the spool and `keep_free` bytes are left."""
        if shutil.disk_usage(self.spool).free - size < self._keep_free:
            raise StorageFull(os.strerror(errno.ENOSPC))

    def reserve(self, name: str, length: int) -> None:
        """Reserve space for an upload of `length` bytes; its name has 32 hexadecimal digits.

        Raises StorageFull, and Unavailable if a hanging process holds the lock.
        """
        with raising_storage_full(), locks.held(self._folder / "lock"):
            outstanding = max(0, sum(self._reserved()) - sum(self._received()))
            self.check_spool_space(outstanding + length)
            self._path(name).write_text(str(length))

    def release(self, name: str) -> None:
        """End the reservation of an upload, if there is one."""
        self._path(name).unlink(missing_ok=True)

    @contextmanager
    def reserved(self, length: int) -> Iterator[None]:
        """Reserve space for `length` bytes until the block ends. Raises StorageFull."""
        if length < MIN_RESERVED_BYTES:
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

    def _reserved(self) -> Iterator[int]:
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError, ValueError):  # released meanwhile, or the lock
                if path.stat().st_mtime < time.time() - RESERVATION_SECONDS:
                    path.unlink(missing_ok=True)
                elif path.name != "lock":
                    yield int(path.read_text())

    def _received(self) -> Iterator[int]:
        """Yield the sizes of the bodies in the spool; fetched files have already allocated their space."""
        for path in self.spool.iterdir():
            with suppress(FileNotFoundError):
                if path.is_file() and not path.name.startswith("fetch-"):
                    yield path.stat().st_size
