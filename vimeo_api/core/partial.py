"""A file that is being fetched: its bytes in the spool, and beside them what is known to be there.

    SPOOL_DIR/fetch-<surface>-<blob>          the bytes, with gaps
    SPOOL_DIR/fetch-<surface>-<blob>.spans    JSON: the origin's version, the spans that are on disk for good, the claim

The spans are written after an fdatasync of the bytes they name, so whoever resumes after a crash can believe them.
Whoever writes holds the file's lock, flock(2), and has signed with its claim before it took that: a file that is not
locked was left by a worker that is dead. This holds where all who see a spool share its locks, as on a local
filesystem and on NFS since version 4. `fetching` makes it, `fetcher` writes into it, `leftovers` finds it.
"""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from vimeo_api.core.answers import Version
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.fetcher import Fetched
from vimeo_api.core.storage import Staging, full_disk_is_said
from vimeo_api.core.writer import Spans
from vimeo_api.extensions import settings

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


class PartialFile:
    """The sink of one fetch, resumable by another process once this one is gone; until then it is locked."""

    def __init__(self, surface: str, blob: str) -> None:
        """Open the partial file of a blob, with what an earlier attempt has left. Raises Busy and StorageFull."""
        self.surface = surface
        self.blob = blob
        self.path = settings.spool_dir / f"{PREFIX}{surface}-{blob}"
        self._notes_path = self.path.with_name(f"{self.path.name}.spans")
        self._draft = self.path.with_name(f"{self.path.name}.spans.new")
        self._descriptor = _open_alone(self.path)
        self._notes = _read_notes(self._notes_path)
        self._spans = Spans(self._notes.spans)
        self._lock = threading.Lock()
        self._noted = time.monotonic()
        self._pause = FIRST_CHECKPOINT_SECONDS

    @property
    def version(self) -> Version | None:
        """The version that the spans belong to."""
        return self._notes.version

    @property
    def claim(self) -> str | None:
        """The claim of whoever signed last, in this process or in one that is dead."""
        return self._notes.claim

    def sign(self, claim: str) -> None:
        """Write down by which claim the file is held from here on."""
        self._notes = replace(self._notes, claim=claim)
        with suppress(StorageFull):  # which the fetch is about to meet; unsigned, its claim would lapse by time
            self._note()

    def spans(self) -> list[tuple[int, int]]:
        """Return what is there."""
        with self._lock:
            return self._spans.present()

    def begin(self, offer: Fetched, *, resumed: bool) -> None:
        """Make room for the offer; unless resumed, forget what is there. Raises StorageFull."""
        if not resumed:
            with self._lock:
                self._spans = Spans()
        self._notes = replace(self._notes, version=offer.version)
        self._note()
        if not resumed:
            # Only now that no note speaks of these bytes any more.
            os.ftruncate(self._descriptor, 0)
        if offer.version.size:
            with full_disk_is_said():
                os.posix_fallocate(self._descriptor, 0, offer.version.size)

    def write_at(self, offset: int, data: bytes) -> None:
        """Write bytes where they belong. Raises StorageFull."""
        view, position = memoryview(data), offset
        with full_disk_is_said():
            while view:
                written = os.pwrite(self._descriptor, view, position)
                view, position = view[written:], position + written
        with self._lock:
            self._spans.add(offset, position)

    def checkpoint(self) -> bool:
        """Note what is there, if it is time to; return whether that is more than any attempt has had."""
        if time.monotonic() - self._noted < self._pause or self.spans() == self._notes.spans:
            return False
        most = self._notes.most
        self._note()
        self._pause = min(2 * self._pause, CHECKPOINT_SECONDS)
        return self._notes.most > most

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

    def _note(self) -> None:
        # Whoever writes meanwhile is not held up; its bytes are in the next note.
        spans = self.spans()
        most = max(self._notes.most, sum(end - start for start, end in spans))
        notes = replace(self._notes, spans=spans, most=most)
        with full_disk_is_said():
            os.fdatasync(self._descriptor)
            self._draft.write_text(json.dumps(asdict(notes)))
            self._draft.replace(self._notes_path)
        self._notes = notes
        self._noted = time.monotonic()


def left() -> Iterator[tuple[str, str]]:
    """Yield surface and blob of every partial file in the spool."""
    for path in list(settings.spool_dir.glob(f"{PREFIX}*")):
        surface, _, blob = path.name.removeprefix(PREFIX).partition("-")
        if blob and "." not in blob:
            yield surface, blob


def _open_alone(path: Path) -> int:
    """Open and lock a file, made if need be. Raises Busy and StorageFull."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        with full_disk_is_said():
            descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between our opening and our locking, its last holder may have removed it.
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise Busy from None
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _read_notes(path: Path) -> _Notes:
    # Notes that cannot be read are no notes: all is fetched anew.
    with suppress(OSError, ValueError, TypeError, KeyError):
        notes = json.loads(path.read_text())
        version = Version(**notes["version"]) if notes["version"] else None
        spans = [(int(start), int(end)) for start, end in notes["spans"]]
        return _Notes(version, spans, int(notes["most"]), notes["claim"])
    return _Notes()
