"""A download on its way: the bytes so far, and what is needed to resume it.

    .get-<hash of the link>         the bytes from the first one on
    .get-<hash of the link>.json    name, size, ETag, digest, and the grant (`X-Download-Grant`)

Both are beside the future file. They are readable for their owner only, as the grant is worth the file.
Sources: flock(2); link(2), which refuses to overwrite.
"""

import errno
import fcntl
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from vimeo_api.client.errors import Damaged, Exists, InUse

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}  # from a filesystem without hard links, link(2)


@dataclass(frozen=True, slots=True)
class Notes:
    """What the first response said about the file."""

    name: str
    size: int
    etag: str | None
    digest: str | None  # SHA-256 in hex
    grant: str | None


class PartialDownload:
    """A download into a folder, locked."""

    def __init__(self, url: str, folder: Path) -> None:
        """Open what an earlier attempt left, or begin. Raises InUse and OSError."""
        self._path = folder / f".get-{hashlib.sha256(os.fsencode(url)).hexdigest()[:16]}"
        self._notes_path = self._path.with_name(f"{self._path.name}.json")
        self._draft = self._path.with_name(f"{self._path.name}.new")
        self._file = self._opened()
        self.notes = self._read()
        self.received = self._file.seek(0, os.SEEK_END)
        if self.notes is None or self.received > self.notes.size:
            self.notes = None
            self._truncate()

    def _opened(self) -> FileIO:
        """Open the file of the bytes and lock it. Raises InUse."""
        while True:
            file = FileIO(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file.fileno()), self._path.stat()):
                    return file
            except BlockingIOError:
                file.close()
                raise InUse("Another process is downloading this link into this folder.") from None
            except FileNotFoundError:
                pass
            file.close()  # its last holder has just published or removed it

    def __enter__(self) -> Self:
        """Return the download."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Keep what came if the download can be resumed; otherwise remove it."""
        if not self._file.closed and self.notes is None:
            self.remove()
        self._file.close()

    @property
    def complete(self) -> bool:
        """Whether all bytes are here."""
        return self.notes is not None and self.received == self.notes.size

    def begin(self, notes: Notes) -> None:
        """Note what the server said, before its first byte is written; forget the bytes of an earlier version."""
        self._truncate()
        self.note(notes)

    def note(self, notes: Notes) -> None:
        """Write the notes."""
        descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(notes), file)
        self._draft.replace(self._notes_path)
        self.notes = notes

    def write(self, data: bytes) -> None:
        """Append bytes."""
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            self.received += written
            view = view[written:]

    def publish(self, target: Path, *, force: bool) -> None:
        """Give the complete file its name, durably. Raises Damaged and Exists."""
        self._check()
        umask = os.umask(0)
        os.umask(umask)
        os.fchmod(self._file.fileno(), 0o666 & ~umask)
        os.fsync(self._file.fileno())
        try:
            if force:
                self._path.replace(target)
            else:
                _link(self._path, target)
        except FileExistsError:
            raise Exists(f"{target} has appeared meanwhile; the download is kept.") from None
        self._notes_path.unlink(missing_ok=True)
        self._file.close()
        _fsync_folder(target.parent)

    def forget(self) -> None:
        """Begin again from the first byte."""
        self._notes_path.unlink(missing_ok=True)
        self.notes = None
        self._truncate()

    def remove(self) -> None:
        """Remove the bytes and the notes."""
        self._draft.unlink(missing_ok=True)
        self._notes_path.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def _check(self) -> None:
        expected = self.notes.digest if self.notes else None
        self._file.seek(0)
        if expected and hashlib.file_digest(self._file, "sha256").hexdigest() != expected:
            self.remove()
            self.received = 0
            raise Damaged("The file does not have the SHA-256 that the server announced.")

    def _truncate(self) -> None:
        self._file.truncate(0)
        self.received = self._file.seek(0)

    def _read(self) -> Notes | None:
        try:
            return Notes(**json.loads(self._notes_path.read_text()))
        except (OSError, ValueError, TypeError):
            return None


def _link(path: Path, target: Path) -> None:
    try:
        target.hardlink_to(path)
    except OSError as error:
        if error.errno not in _NO_LINKS or os.path.lexists(target):
            raise
        path.replace(target)
    else:
        path.unlink()


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
