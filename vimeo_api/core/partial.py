"""A file that is being fetched: its bytes, and beside them what is known to be there.

    <path>          the bytes, with gaps; of a job SPOOL_DIR/fetch-<blob>
    <path>.spans    JSON: the origin's version, and the spans that are on disk for good

The spans are written after an fdatasync of the bytes they name, so whoever resumes after a crash can believe them.
`fetching` and `manage.py fetch` make it, `fetcher` writes into it.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from vimeo_api.core import admission
from vimeo_api.core.answers import Version
from vimeo_api.core.fetcher import Fetched
from vimeo_api.core.storage import Staging, full_disk_is_said, lock_named
from vimeo_api.core.writer import Writer
from vimeo_api.extensions import settings

CHECKPOINT_SECONDS = 2  # between two notes of what is there: what a crash costs


class Busy(Exception):
    """Another process is writing this file."""


class ResumableFile:
    """The sink of one fetch, resumable by another process once this one is gone; until then it is locked, flock(2)."""

    def __init__(self, path: Path, *, mode: int = 0o600) -> None:
        """Open the file of that path, with what an earlier attempt has left. Raises Busy and StorageFull."""
        self.path = path
        self._notes = path.with_name(f"{path.name}.spans")
        self._draft = path.with_name(f"{path.name}.spans.new")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with full_disk_is_said():
            self._descriptor = os.open(path, flags, mode)
        if not lock_named(self._descriptor, path):
            os.close(self._descriptor)
            raise Busy
        self.version, spans = _read_notes(self._notes, os.fstat(self._descriptor).st_size)
        self._writer = Writer(self._descriptor, present=spans)
        self._noted = time.monotonic()

    def spans(self) -> list[tuple[int, int]]:
        """Return what is written; before `begin`, what an earlier attempt has left for good."""
        return self._writer.present

    def begin(self, offer: Fetched, *, resumed: bool) -> None:
        """Make room for the offer; unless resumed, forget what is there. Raises StorageFull."""
        self.version = offer.version
        present = self._writer.present if resumed else []
        if not resumed:
            self._notes.unlink(missing_ok=True)  # first: after a crash they would name bytes that are zeros by then
            os.ftruncate(self._descriptor, 0)
        self._writer = Writer(self._descriptor, offer.version.size, present=present)
        self.note()

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes where they belong. Raises StorageFull."""
        self._writer.write_at(offset, data)

    def checkpoint(self) -> None:
        """Note what is there, if it is time to. Raises StorageFull."""
        if time.monotonic() - self._noted >= CHECKPOINT_SECONDS:
            self.note()

    def note(self) -> None:
        """Make durable what is there, then note it. Raises StorageFull; not for several threads."""
        spans = self._writer.present  # now: what comes while the disk is busy is not durable yet
        version = asdict(self.version) if self.version else None
        with full_disk_is_said():
            os.fdatasync(self._descriptor)
            self._draft.write_text(json.dumps({"version": version, "spans": spans}))
            self._draft.replace(self._notes)
        self._noted = time.monotonic()

    def staging(self) -> Staging:
        """Return the whole file as staged bytes; close that before this."""
        return Staging(self.path, os.dup(self._descriptor), owned=False)

    def discard(self) -> None:
        """Remove the file and its notes."""
        for path in (self._draft, self._notes, self.path):
            path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


class PartialFile(ResumableFile):
    """The file of a job, in the spool."""

    def __init__(self, blob: str) -> None:
        """Open the partial file of a blob. Raises Busy and StorageFull."""
        super().__init__(settings.spool_dir / f"fetch-{blob}")

    def begin(self, offer: Fetched, *, resumed: bool) -> None:
        """Make room for the offer, if the disk is for uploads to fill. Raises StorageFull."""
        there = sum(end - start for start, end in self.spans()) if resumed else 0
        admission.check_room((offer.version.size or 0) - there)
        super().begin(offer, resumed=resumed)


def _read_notes(path: Path, size: int) -> tuple[Version | None, list[tuple[int, int]]]:
    # Notes that cannot be read, or name bytes that are not there, are no notes: all is fetched anew.
    with suppress(OSError, ValueError, TypeError, KeyError):
        notes = json.loads(path.read_text())
        spans = [(int(start), int(end)) for start, end in notes["spans"]]
        if all(0 <= start < end <= size for start, end in spans):
            return Version(**notes["version"]), spans
    return None, []
