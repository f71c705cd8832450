"""The folder in which all servers work, and the files that they serve."""

import os
import random
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.plan import MIB, SMALL

SMALL_NAME, LARGE_NAME, EMPTY_NAME = "small.txt", "large.bin", "uploads"


@dataclass(frozen=True)
class Place:
    """A folder; the code that made it empties it."""

    folder: Path

    @property
    def small(self) -> Path:
        """The small file."""
        return self.folder / SMALL_NAME

    @property
    def large(self) -> Path:
        """The large file."""
        return self.folder / LARGE_NAME

    def fill(self, large: int) -> None:
        """Make the files, the large one of `large` bytes; they are in the page cache then."""
        self.small.write_bytes((b"0123456789abcde\n" * SMALL)[:SMALL])
        with self.large.open("wb") as file:
            for _ in range(large // MIB):
                file.write(random.randbytes(MIB))
            os.fsync(file.fileno())

    def warm(self, size: int) -> None:
        """Write and remove a file, so that the memory for the next one is there.

        A guest gives free memory back to its host, and whoever first asks for it again pays for that.
        """
        path, piece = self.folder / "warm", bytes(MIB)
        with path.open("wb") as file:
            for _ in range(size // MIB):
                file.write(piece)
        path.unlink()

    def root(self, name: str) -> Path:
        """Return a new folder with both files, hard links, and an empty folder for uploads."""
        root = self.folder / name
        (root / EMPTY_NAME).mkdir(parents=True)
        for path in (self.small, self.large):
            (root / path.name).hardlink_to(path)
        return root


@dataclass(frozen=True)
class Folder:
    """What was uploaded below a folder: the files that were not there from the beginning."""

    root: Path

    def size(self) -> int:
        """Return how many bytes it is in all."""
        return sum(path.stat().st_size for path in self._paths())

    def clear(self) -> None:
        """Remove it all."""
        for path in self._paths():
            path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        found = (Path(folder) / name for folder, _, names in os.walk(self.root) for name in names)
        return [path for path in found if path.name not in {SMALL_NAME, LARGE_NAME}]
