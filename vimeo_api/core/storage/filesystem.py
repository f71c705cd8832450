"""The folder STORE_DIR as a store.

    STORE_DIR/<surface>/<ab>/<blob>       complete, fsynced, never written again
    STORE_DIR/.placing/<surface>-<blob>   being copied from a spool on another filesystem; locked by its worker

Sources: flock(2), rename(2), posix_fadvise(2).
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from vimeo_api.core.errors import DigestMismatch
from vimeo_api.core.storage import folders
from vimeo_api.core.storage.folders import fsync_folder, make_folder, raising_storage_full, relative, remove_from
from vimeo_api.core.storage.mount_check import MountCheck
from vimeo_api.core.storage.stores import Progress
from vimeo_api.core.storage.writer import Writer

NAME = "filesystem"
DRAFTS = ".placing"
_PIECE = 1024**2  # bytes


class Filesystem:
    """The folder of stored files."""

    name = NAME
    batch = threads = 1  # one copy has threads of its own
    away = False

    def __init__(self, root: Path, mount_check: MountCheck) -> None:
        """Keep files in a folder; `mount_check` tells whether it is mounted."""
        self.root = root
        self._mount_check = mount_check

    def check(self) -> None:
        """Raise Unavailable unless the folder is mounted."""
        self._mount_check.check()

    def path(self, surface: str, blob: str) -> Path:
        """Return where the bytes of a blob are."""
        return self.root / relative(surface, blob)

    def open(self, surface: str, blob: str, size: int | None = None) -> FileIO:
        """Open a blob for reading, unbuffered. A symbolic link counts as missing. Raises FileNotFoundError."""
        del size
        return folders.opened(self.path(surface, blob))

    def size(self, surface: str, blob: str) -> int:
        """Return how many bytes a blob has. Raises FileNotFoundError."""
        return self.path(surface, blob).stat().st_size

    def remove(self, surface: str, blob: str) -> None:
        """Remove a blob for good, under `blobs.locked`."""
        remove_from(self.path(surface, blob))

    @contextmanager
    def receiving(self, surface: str, blob: str) -> Iterator["FileDraft | None"]:
        """Open and lock the draft of a blob; yield None if another worker has it."""
        path = self.root / DRAFTS / f"{surface}-{blob}"
        with folders.draft(path) as descriptor:
            if descriptor is None:
                yield None
                return
            self.check()  # now: our open file keeps the store from being unmounted
            yield FileDraft(path, descriptor, self.path(surface, blob))

    def drafts(self) -> list[Path]:
        """Return the copies in progress, including those of killed workers."""
        folder = self.root / DRAFTS
        return list(folder.iterdir()) if folder.exists() else []

    def old_blobs(self, age: float) -> Iterator[tuple[str, list[str]]]:
        """Yield the blobs of at least that age in seconds, folder by folder."""
        return folders.old_blobs(self.root, age)


class FileDraft:
    """An open, locked file that becomes a blob; leaving `receiving` removes it, unless it is kept."""

    def __init__(self, path: Path, descriptor: int, target: Path) -> None:
        """Copy into `path`, to be renamed to `target`."""
        self._path = path
        self._descriptor = descriptor
        self._target = target

    def copy(self, source: int, algorithm: str, progress: Progress) -> str:
        """Copy an open file durably, with its time; return the digest of the copy, read back from the disk.

        Raises StorageFull, and DigestMismatch if the source and the copy do not agree.
        """
        facts = os.fstat(source)
        os.ftruncate(self._descriptor, 0)
        Writer(self._descriptor, facts.st_size, progress=progress).copy(source, facts.st_size)
        os.utime(self._descriptor, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        with raising_storage_full():
            os.fsync(self._descriptor)
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        read, copied = (_digest(descriptor, algorithm, progress) for descriptor in (source, self._descriptor))
        if read != copied:
            raise DigestMismatch("The copy and its source do not agree.")
        return copied

    def keep(self) -> None:
        """Rename the copy, under `blobs.locked`: removing the last file in a folder removes the folder."""
        with raising_storage_full():
            make_folder(self._target.parent)
        self._path.replace(self._target)  # replaces a leftover, if there is one; its bytes are the same
        fsync_folder(self._target.parent)

    def withdraw(self) -> None:
        """Remove the renamed copy, under `blobs.locked`."""
        remove_from(self._target)


def _digest(descriptor: int, algorithm: str, progress: Progress) -> str:
    digest, position = hashlib.new(algorithm), 0
    while piece := os.pread(descriptor, _PIECE, position):
        digest.update(piece)
        position += len(piece)
        progress(position)
    return digest.hexdigest()
