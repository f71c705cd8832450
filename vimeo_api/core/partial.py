"""A file that is being fetched: its bytes in the spool, and beside them what is known to be there.

    SPOOL_DIR/fetch-<blob>          the bytes, with gaps
    SPOOL_DIR/fetch-<blob>.spans    JSON: the origin's version, and the spans that are on disk for good

The spans are written after an fdatasync of the bytes they name, so whoever resumes after a crash can believe them.
`fetching` makes it, `fetcher` writes into it.
"""

import fcntl
import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from vimeo_api.core.answers import Version
from vimeo_api.core.fetcher import Fetched
from vimeo_api.core.storage import Staging, full_disk_is_said
from vimeo_api.core.writer import Spans
from vimeo_api.extensions import settings

CHECKPOINT_SECONDS = 2  # between two notes of what is there: what a crash costs


class Busy(Exception):
    """Another process is writing this file."""


class PartialFile:
    """The sink of one fetch, resumable by another process once this one is gone; until then it is locked, flock(2)."""

    def __init__(self, blob: str) -> None:
        """Open the partial file of a blob, with what an earlier attempt has left. Raises Busy and StorageFull."""
        self.path = settings.spool_dir / f"fetch-{blob}"
        self._notes = self.path.with_name(f"{self.path.name}.spans")
        self.version, spans = _read_notes(self._notes)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with full_disk_is_said():
            self._descriptor = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise Busy from None
        self._spans = Spans(spans)
        self._lock = threading.Lock()
        self._noted = time.monotonic()

    def spans(self) -> list[tuple[int, int]]:
        """Return what an earlier attempt has left for good."""
        with self._lock:
            return self._spans.present()

    def begin(self, offer: Fetched, *, resumed: bool) -> None:
        """Make room for the offer; unless resumed, forget what is there. Raises StorageFull."""
        with self._lock:
            self.version = offer.version
            if not resumed:
                self._spans = Spans()
                os.ftruncate(self._descriptor, 0)
            if offer.version.size:
                with full_disk_is_said():
                    os.posix_fallocate(self._descriptor, 0, offer.version.size)
            self._note()

    def write_at(self, offset: int, data: memoryview) -> None:
        """Write bytes where they belong. Raises StorageFull."""
        view, position = memoryview(data), offset
        with full_disk_is_said():
            while view:
                written = os.pwrite(self._descriptor, view, position)
                view, position = view[written:], position + written
        with self._lock:
            self._spans.add(offset, position)

    def checkpoint(self) -> None:
        """Note what is there, if it is time to."""
        with self._lock:
            if time.monotonic() - self._noted >= CHECKPOINT_SECONDS:
                self._note()

    def staging(self) -> Staging:
        """Return the whole file as staged bytes; close that before this."""
        return Staging(self.path, os.dup(self._descriptor), owned=False)

    def discard(self) -> None:
        """Remove the file and its notes."""
        for path in (self._notes, self.path):
            path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def _note(self) -> None:
        with full_disk_is_said():
            os.fdatasync(self._descriptor)
            draft = self._notes.with_name(f"{self._notes.name}.new")
            version = asdict(self.version) if self.version else None
            draft.write_text(json.dumps({"version": version, "spans": self._spans.present()}))
            draft.replace(self._notes)
        self._noted = time.monotonic()


def _read_notes(path: Path) -> tuple[Version | None, list[tuple[int, int]]]:
    # Notes that cannot be read are no notes: all is fetched anew.
    with suppress(OSError, ValueError, TypeError, KeyError):
        notes = json.loads(path.read_text())
        return Version(**notes["version"]), [(int(start), int(end)) for start, end in notes["spans"]]
    return None, []
