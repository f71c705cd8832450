"""What a store of placed files can do: a folder (`filesystem`) and a bucket (`object_store`) do it.

`blobs` knows which stores there are, and a file's row in which of them its bytes are. `placing` copies into them.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from io import RawIOBase
from typing import Protocol

Progress = Callable[[int], object]  # gets the bytes so far, from time to time: the worker renews its claim


class Draft(Protocol):
    """A copy of a file on its way into a store; it vanishes at the end of its block, unless it is kept."""

    def copy(self, source: int, algorithm: str, progress: Progress) -> str:
        """Copy an open file durably and return the hexadecimal digest of the copy.

        Raises StorageFull, Unavailable, DigestMismatch and OSError.
        """

    def keep(self) -> None:
        """Make the copy the bytes of its file, in place of any that are left there. Raises StorageFull."""

    def withdraw(self) -> None:
        """Remove the copy that was kept: its file was deleted meanwhile."""


class Store(Protocol):
    """The bytes of placed files, by surface and blob."""

    name: str  # in the rows
    batch: int  # files that are placed together, and
    threads: int  # how many of them are copied at a time

    @property
    def away(self) -> bool:
        """Whether it failed a moment ago, so that nobody should copy anything now."""

    def check(self) -> None:
        """Raise Unavailable if missing bytes would say nothing, because the store itself is missing."""

    def open(self, surface: str, blob: str, size: int | None = None) -> RawIOBase:
        """Open a blob for reading. Raises FileNotFoundError, Unavailable, and Damaged where `size` is another one.

        A folder does not compare the size: a file that is too short ends early.
        """

    def size(self, surface: str, blob: str) -> int:
        """Return how many bytes a blob has. Raises FileNotFoundError and Unavailable."""

    def remove(self, surface: str, blob: str) -> None:
        """Remove a blob for good. A missing one is no error. Raises Unavailable."""

    def receiving(self, surface: str, blob: str) -> AbstractContextManager[Draft | None]:
        """Begin the copy of a blob; yield None if another worker of this host makes it. Raises StorageFull."""

    def old_blobs(self, age: float) -> Iterator[tuple[str, list[str]]]:
        """Yield the blobs of at least that age in seconds, in groups of one surface. Raises Unavailable."""
