"""Read a body up to a delimiter and past it: a stream, or the file that nginx has spooled.

`multipart_forms` parses either. A stream gives the pieces between two delimiters as bytes, a file as spans: only the
search reads their bytes, through one small buffer, because the pages of a mapped file would count as our memory.
Sources: preadv(2), proc(5).
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from vimeo_api.core.errors import Malformed
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.extensions import blobs, reservations
from vimeo_api.web.receiving.bodies import READ_CHUNK, Read

WINDOW = 256 * 1024  # bytes searched at once; up to 4 MiB was no faster


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of a body file from `start` up to but not including `stop`."""

    descriptor: int
    start: int
    stop: int

    def __len__(self) -> int:
        """Return the number of bytes without reading them."""
        return self.stop - self.start

    def __bytes__(self) -> bytes:
        """Read all bytes into memory; check the length first."""
        return os.pread(self.descriptor, len(self), self.start)


Piece = bytes | Span


class Keeper(Protocol):
    """Stages one file from its consecutive pieces."""

    def add(self, piece: Piece) -> None:
        """Add the next piece. Raises StorageFull."""

    def staging(self, *, last: bool) -> Staging:
        """Return the staged file; the last file of a form may use up the source. Raises StorageFull."""


class Source(Protocol):
    """Where a body comes from."""

    def until(self, delimiter: bytes) -> Iterator[Piece]:
        """Yield the pieces before the delimiter and move past it; the caller takes them all.

        Raises Malformed, after the last piece, for a body that ends without the delimiter.
        """

    def take(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end of the body, and move past them."""

    def drain(self) -> None:
        """Read to the end of the body, to find out whether it is as long as announced."""

    def keeper(self, stack: ExitStack) -> Keeper:
        """Return a keeper for the file that begins here; its resources are released with the stack."""


class Streamed:
    """A body that streams in."""

    def __init__(self, read: Read) -> None:
        """Read with this function; its exceptions pass through."""
        self._read = read
        self._rest = b""

    def until(self, delimiter: bytes) -> Iterator[bytes]:
        """Yield the pieces before the delimiter and move past it. Raises Malformed."""
        window, self._rest = self._rest, b""
        while (at := window.find(delimiter)) < 0:
            held = _possible_start(window, delimiter)
            yield window[: len(window) - held]
            data = self._read(READ_CHUNK)
            if not data:
                yield window[len(window) - held :]
                raise Malformed("The multipart body ends early.")
            window = window[len(window) - held :] + data
        yield window[:at]
        self._rest = window[at + len(delimiter) :]

    def take(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end, and move past them."""
        while len(self._rest) < count and (data := self._read(READ_CHUNK)):
            self._rest += data
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def drain(self) -> None:
        """Read the rest and drop it."""
        while self._read(READ_CHUNK):
            pass

    def keeper(self, stack: ExitStack) -> Keeper:
        """Return a keeper that copies into a new file in the spool."""
        return _Copied(stack.enter_context(blobs.stage()))


class Spooled:
    """A body in a file that nginx has spooled."""

    def __init__(self, body: Staging, *, window: int = WINDOW) -> None:
        """Read this file, `window` bytes at a time."""
        self._body = body
        self._window = window
        self._position = 0

    def until(self, delimiter: bytes) -> Iterator[Span]:
        """Yield the span before the delimiter and move past it. Raises Malformed."""
        at = self._find(delimiter)
        yield Span(self._body.descriptor, self._position, self._body.size if at is None else at)
        if at is None:
            raise Malformed("The multipart body ends early.")
        self._position = at + len(delimiter)

    def take(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end, and move past them."""
        taken = os.pread(self._body.descriptor, count, self._position)
        self._position += len(taken)
        return taken

    def drain(self) -> None:
        """Do nothing: nginx passes on complete bodies only."""

    def keeper(self, stack: ExitStack) -> Keeper:
        """Return a keeper that copies the file out, or for the last one cuts the body file down to it."""
        return _Cut(self._body, self._position, stack)

    def _find(self, delimiter: bytes) -> int | None:
        left = self._body.size - self._position
        buffer = bytearray(max(min(self._window, left), len(delimiter)))
        start = self._position
        while (count := os.preadv(self._body.descriptor, [buffer], start)) >= len(delimiter):
            at = buffer.find(delimiter, 0, count)
            if at >= 0:
                return start + at
            start += count - len(delimiter) + 1
        return None


class _Copied:
    def __init__(self, staging: Staging) -> None:
        self._staging = staging

    def add(self, piece: Piece) -> None:
        self._staging.write(bytes(piece))

    def staging(self, *, last: bool) -> Staging:
        del last  # each has its own file
        return self._staging


class _Cut:
    def __init__(self, body: Staging, start: int, stack: ExitStack) -> None:
        self._body = body
        self._start = self._stop = start
        self._stack = stack

    def add(self, piece: Piece) -> None:
        self._stop += len(piece)

    def staging(self, *, last: bool) -> Staging:
        if last:
            self._body.cut(self._start, self._stop)
            return self._body
        reservations.check_spool_space(self._stop - self._start)
        copy = self._stack.enter_context(blobs.stage())
        for start in range(self._start, self._stop, WINDOW):
            copy.write(os.pread(self._body.descriptor, min(WINDOW, self._stop - start), start))
        return copy


def _possible_start(window: bytes, delimiter: bytes) -> int:
    """Return how many bytes at the end of the window may begin the delimiter; an upper bound."""
    tail = window[max(0, len(window) - len(delimiter) + 1) :]
    at = tail.find(delimiter[:1])
    return 0 if at < 0 else len(tail) - at
