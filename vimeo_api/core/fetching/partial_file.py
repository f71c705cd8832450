"""A file that is being fetched: its bytes, and notes about which of them are on disk.

    <path>          the bytes, with gaps; of a job SPOOL_DIR/fetch-<surface>-<blob>
    <path>.spans    JSON: the origin's version, the spans that are on disk for good, the claim of a job

The spans are written after an fdatasync of the bytes that they name, so a resume after a crash can trust them.
The writer holds the file's lock, flock(2), and a worker signs the notes before it takes its claim: a file that is not
locked was left by a dead worker. This needs a spool whose locks all its users share: a local filesystem, or NFS since
version 4. `job` and `manage.py fetch` open it, `client` writes into it, `recovery` finds those of dead workers.
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
from urllib.parse import urlsplit

from vimeo_api.core import identifiers
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.fetching.client import Fetched
from vimeo_api.core.fetching.headers import Version
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.core.storage.folders import open_locked, raising_storage_full
from vimeo_api.core.storage.reservations import MIN_RESERVED_BYTES, Reservation, Reservations
from vimeo_api.core.storage.writer import Writer

CHECKPOINT_SECONDS = 2.0  # between two notes; a crash loses at most this much work
FIRST_CHECKPOINT_SECONDS = 0.1  # doubled for each further one, so that short attempts make progress too
PARTIAL_PREFIX = "fetch-"


class Busy(Exception):
    """Another process is writing this file."""


@dataclass(frozen=True, slots=True)
class _Notes:
    """What is known after a crash."""

    version: Version | None = None
    spans: list[tuple[int, int]] = field(default_factory=list)
    most: int = 0  # bytes that an attempt has ever noted
    claim: str | None = None  # of the worker that wrote last


class ResumableFile:
    """The sink of one fetch, locked; once this process is gone, another can resume it."""

    def __init__(self, path: Path, *, mode: int = 0o600) -> None:
        """Open the file at a path, with what an earlier attempt left. Raises Busy and StorageFull."""
        self.path = path
        self._notes_path = path.with_name(f"{path.name}.spans")
        self._draft = path.with_name(f"{path.name}.spans.new")
        self._descriptor = _open_locked(path, mode)
        self._notes = _read_notes(self._notes_path, os.fstat(self._descriptor).st_size)
        self._writer = Writer(self._descriptor, present=self._notes.spans)
        self._noted = time.monotonic()
        self._pause = FIRST_CHECKPOINT_SECONDS

    @property
    def version(self) -> Version | None:
        """The version that the spans belong to."""
        return self._notes.version

    def spans(self) -> list[tuple[int, int]]:
        """Return what is written; before `begin`, what an earlier attempt made durable."""
        return self._writer.present

    def begin(self, offer: Fetched, *, resumed: bool) -> None:
        """Reserve the space for the offer; unless resumed, forget the earlier bytes. Raises StorageFull."""
        present = self._writer.present if resumed else []
        self._writer = Writer(self._descriptor, present=present)
        self._notes = replace(self._notes, version=offer.version)
        self.note()
        if not resumed:
            # Only now: the notes no longer name these bytes.
            os.ftruncate(self._descriptor, 0)
        self._writer = Writer(self._descriptor, self._allocated(offer), present=present)

    def _allocated(self, offer: Fetched) -> int | None:
        """Return how many bytes to allocate before the first one arrives."""
        return offer.version.size

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes at their offset. Raises StorageFull."""
        self._writer.write_at(offset, data)

    def checkpoint(self) -> bool:
        """Note what is written, if it is time to; return whether that is more than any attempt had.

        Raises StorageFull.
        """
        if time.monotonic() - self._noted < self._pause or self.spans() == self._notes.spans:
            return False
        most = self._notes.most
        self.note()
        self._pause = min(2 * self._pause, CHECKPOINT_SECONDS)
        return self._notes.most > most

    def note(self) -> None:
        """Make the bytes durable, then note them. Raises StorageFull; not safe among threads."""
        spans = self.spans()  # before the sync: bytes that arrive during it are not durable yet
        most = max(self._notes.most, sum(end - start for start, end in spans))
        notes = replace(self._notes, spans=spans, most=most)
        with raising_storage_full():
            os.fdatasync(self._descriptor)
            self._draft.write_text(json.dumps(asdict(notes)))
            self._draft.replace(self._notes_path)
        self._notes = notes
        self._noted = time.monotonic()

    def staging(self) -> Staging:
        """Return the whole file as staged bytes; close them before this file."""
        return Staging(self.path, os.dup(self._descriptor), owned=False)

    def discard(self) -> None:
        """Remove the file and its notes; the file last, because `left` finds the notes by it."""
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
        """Open the partial file of a blob, with what an earlier attempt left. Raises Busy and StorageFull.

        It is in the spool of `reservations`, which reserve space for it as for any upload. Nothing is allocated before
        it arrives: an origin could announce all the space there is.
        """
        self.surface = surface
        self.blob = blob
        # Bound now, because `reservations` may be a proxy that other threads cannot use.
        self._reserve, self._release = reservations.reserve, reservations.release
        self._check_space = reservations.check_spool_space
        self._reservation: Reservation | None = None
        self._reserved_as = identifiers.random_hex()
        super().__init__(reservations.spool / f"{PARTIAL_PREFIX}{surface}-{blob}")

    @property
    def claim(self) -> str | None:
        """The claim of the worker that signed last: this one or a dead one."""
        return self._notes.claim

    def sign(self, claim: str) -> None:
        """Record the claim under which we write from now on."""
        self._notes = replace(self._notes, claim=claim)
        with suppress(StorageFull):  # the fetch will fail with it; without a signature, the claim times out
            self.note()

    def begin(self, offer: Fetched, *, resumed: bool) -> None:
        """Reserve the space for the offer, if there is any. Raises StorageFull."""
        self._give_back()
        there = self._arrived() if resumed else 0
        size = offer.version.size or 0
        self._check_space(size - there)
        if size >= MIN_RESERVED_BYTES:
            origin = f"origin {urlsplit(offer.url).hostname}"
            self._reservation = self._reserve(self._reserved_as, size, client=origin, received=there)
        super().begin(offer, resumed=resumed)

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes at their offset, unless too few would be left free. Raises StorageFull."""
        self._check_space(len(data))
        super().write_at(offset, data)

    def checkpoint(self) -> bool:
        """Note what is written, also for the reservation."""
        if self._reservation is not None:
            self._reservation.advance(self._arrived())
        return super().checkpoint()

    def _allocated(self, offer: Fetched) -> None:
        """Return None: nothing."""

    def _arrived(self) -> int:
        return sum(end - start for start, end in self.spans())

    def _give_back(self) -> None:
        if self._reservation is not None:
            self._release(self._reserved_as)
            self._reservation = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()
        super().__exit__(kind, error, trace)


def left(spool: Path) -> Iterator[tuple[str, str]]:
    """Yield the surface and blob of every partial file in the spool."""
    for path in list(spool.glob(f"{PARTIAL_PREFIX}*")):
        surface, _, blob = path.name.removeprefix(PARTIAL_PREFIX).partition("-")
        if blob and "." not in blob:
            yield surface, blob


def _open_locked(path: Path, mode: int) -> int:
    """Open and lock a file, created if missing. Raises Busy and StorageFull."""
    descriptor = open_locked(path, mode)
    if descriptor is None:
        raise Busy
    return descriptor


def _read_notes(path: Path, size: int) -> _Notes:
    # Notes that are unreadable or name missing bytes are ignored: everything is fetched again.
    with suppress(OSError, ValueError, TypeError, KeyError):
        notes = json.loads(path.read_text())
        version = Version(**notes["version"]) if notes["version"] else None
        spans = [(int(start), int(end)) for start, end in notes["spans"]]
        if all(0 <= start < end <= size for start, end in spans):
            return _Notes(version, spans, int(notes["most"]), notes["claim"])
    return _Notes()
