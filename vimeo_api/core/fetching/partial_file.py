"""A file that is being fetched: its bytes, and beside them what is known to be there.

    <path>          the bytes, with gaps; of a job SPOOL_DIR/fetch-<surface>-<blob>
    <path>.spans    JSON: the origin's version, the spans that are on disk for good, the claim of a job

The spans are written after an fdatasync of the bytes they name, so whoever resumes after a crash can believe them.
Whoever writes holds the file's lock, flock(2), and the worker of a job has signed with its claim before it took that: a
file that is not locked was left by a worker that is dead. This holds where all who see a spool share its locks, as on a
local filesystem and on NFS since version 4. `job` and `manage.py fetch` make it, `client` writes into it,
`recovery` finds those of jobs.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from vimeo_api.core.errors import StorageFull
from vimeo_api.core.fetching.client import Fetched
from vimeo_api.core.fetching.headers import Version
from vimeo_api.core.storage.blobs import Staging, full_disk_is_said, open_alone
from vimeo_api.core.storage.reservations import Reservations
from vimeo_api.core.storage.writer import Writer

CHECKPOINT_SECONDS = 2.0  # between two notes of what is there: what a crash costs
FIRST_CHECKPOINT_SECONDS = 0.1  # doubled for each further one, so that short attempts get somewhere, too
PREFIX = "fetch-"


class Busy(Exception):
    """Another process is writing this file."""


@dataclass(frozen=True, slots=True)
class _Notes:
    """What a crash leaves us to know."""

    version: Version | None = None
    spans: list[tuple[int, int]] = field(default_factory=list)
    most: int = 0  # bytes that an attempt has ever noted
    claim: str | None = None  # of the worker that wrote last


class ResumableFile:
    """The sink of one fetch, resumable by another process once this one is gone; until then it is locked."""

    def __init__(self, path: Path, *, mode: int = 0o600) -> None:
        """Open the file of that path, with what an earlier attempt has left. Raises Busy and StorageFull."""
        self.path = path
        self._notes_path = path.with_name(f"{path.name}.spans")
        self._draft = path.with_name(f"{path.name}.spans.new")
        self._descriptor = _open_alone(path, mode)
        self._notes = _read_notes(self._notes_path, os.fstat(self._descriptor).st_size)
        self._writer = Writer(self._descriptor, present=self._notes.spans)
        self._noted = time.monotonic()
        self._pause = FIRST_CHECKPOINT_SECONDS

    @property
    def version(self) -> Version | None:
        """The version that the spans belong to."""
        return self._notes.version

    def spans(self) -> list[tuple[int, int]]:
        """Return what is written; before `begin`, what an earlier attempt has left for good."""
        return self._writer.present

    def begin(self, offer: Fetched, *, resumed: bool) -> None:
        """Make room for the offer; unless resumed, forget what is there. Raises StorageFull."""
        present = self._writer.present if resumed else []
        self._writer = Writer(self._descriptor, present=present)
        self._notes = replace(self._notes, version=offer.version)
        self.note()
        if not resumed:
            # Only now that no note speaks of these bytes any more.
            os.ftruncate(self._descriptor, 0)
        self._writer = Writer(self._descriptor, offer.version.size, present=present)

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes where they belong. Raises StorageFull."""
        self._writer.write_at(offset, data)

    def checkpoint(self) -> bool:
        """Note what is there, if it is time to; return whether that is more than any attempt has had.

        Raises StorageFull.
        """
        if time.monotonic() - self._noted < self._pause or self.spans() == self._notes.spans:
            return False
        most = self._notes.most
        self.note()
        self._pause = min(2 * self._pause, CHECKPOINT_SECONDS)
        return self._notes.most > most

    def note(self) -> None:
        """Make durable what is there, then note it. Raises StorageFull; not for several threads."""
        spans = self.spans()  # now: what comes while the disk is busy is not durable yet
        most = max(self._notes.most, sum(end - start for start, end in spans))
        notes = replace(self._notes, spans=spans, most=most)
        with full_disk_is_said():
            os.fdatasync(self._descriptor)
            self._draft.write_text(json.dumps(asdict(notes)))
            self._draft.replace(self._notes_path)
        self._notes = notes
        self._noted = time.monotonic()

    def staging(self) -> Staging:
        """Return the whole file as staged bytes; close that before this."""
        return Staging(self.path, os.dup(self._descriptor), owned=False)

    def discard(self) -> None:
        """Remove the file and its notes; the file last, for who finds that looks for the others."""
        for path in (self._draft, self._notes_path, self.path):
            path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


class PartialFile(ResumableFile):
    """The file of a job, in the spool."""

    def __init__(self, reservations: Reservations, surface: str, blob: str) -> None:
        """Open the partial file of a blob, with what an earlier attempt has left. Raises Busy and StorageFull.

        It lies in the spool of `reservations`, and takes no space there that is promised to uploads.
        """
        self.surface = surface
        self.blob = blob
        self._reservations = reservations
        super().__init__(reservations.spool / f"{PREFIX}{surface}-{blob}")

    @property
    def claim(self) -> str | None:
        """The claim of whoever signed last, in this process or in one that is dead."""
        return self._notes.claim

    def sign(self, claim: str) -> None:
        """Write down by which claim the file is held from here on."""
        self._notes = replace(self._notes, claim=claim)
        with suppress(StorageFull):  # which the fetch is about to meet; unsigned, its claim would lapse by time
            self.note()

    def begin(self, offer: Fetched, *, resumed: bool) -> None:
        """Make room for the offer, if the disk is for uploads to fill. Raises StorageFull."""
        there = sum(end - start for start, end in self.spans()) if resumed else 0
        self._reservations.check_spool_space((offer.version.size or 0) - there)
        super().begin(offer, resumed=resumed)


def left(spool: Path) -> Iterator[tuple[str, str]]:
    """Yield surface and blob of every partial file in the spool."""
    for path in list(spool.glob(f"{PREFIX}*")):
        surface, _, blob = path.name.removeprefix(PREFIX).partition("-")
        if blob and "." not in blob:
            yield surface, blob


def _open_alone(path: Path, mode: int) -> int:
    """Open and lock a file, made if need be. Raises Busy and StorageFull."""
    descriptor = open_alone(path, mode)
    if descriptor is None:
        raise Busy
    return descriptor


def _read_notes(path: Path, size: int) -> _Notes:
    # Notes that cannot be read, or name bytes that are not there, are no notes: all is fetched anew.
    with suppress(OSError, ValueError, TypeError, KeyError):
        notes = json.loads(path.read_text())
        version = Version(**notes["version"]) if notes["version"] else None
        spans = [(int(start), int(end)) for start, end in notes["spans"]]
        if all(0 <= start < end <= size for start, end in spans):
            return _Notes(version, spans, int(notes["most"]), notes["claim"])
    return _Notes()
