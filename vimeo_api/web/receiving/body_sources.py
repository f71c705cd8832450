"""A body to be read up to a delimiter and past it: as it streams in, or in the file into which nginx has spooled it.

`multipart_forms` reads the structure from either. Of a stream the pieces between two delimiters are bytes; of a file
they are spans, whose bytes nobody reads but the search: it goes through one small buffer, for pages of a mapped file
would count as ours. Sources: preadv(2), proc(5).
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from vimeo_api.core.errors import Malformed
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.extensions import blobs
from vimeo_api.web.receiving.bodies import READ_CHUNK, Read

WINDOW = 256 * 1024  # bytes searched at once; from here to 4 MiB it was the same


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of a body file from `start` up to but not including `stop`."""

    descriptor: int
    start: int
    stop: int

    def __len__(self) -> int:
        """Return how many bytes it has; this reads none."""
        return self.stop - self.start

    def __bytes__(self) -> bytes:
        """Read them all; whoever asks has looked at the length."""
        return os.pread(self.descriptor, len(self), self.start)


Piece = bytes | Span


class Keeper(Protocol):
    """Makes staged bytes of the pieces of one file, which follow each other."""

    def add(self, piece: Piece) -> None:
        """Take the next piece. Raises StorageFull."""

    def staging(self, *, last: bool) -> Staging:
        """Return the whole; the last one that is asked for may use up the source. Raises StorageFull."""


class Source(Protocol):
    """Where a body comes from."""

    def until(self, delimiter: bytes) -> Iterator[Piece]:
        """Yield what comes before the delimiter, to be taken to its end, and go past that.

        Raises Malformed, after what there was, for a body that ends without it.
        """

    def take(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end of the body, and go past them."""

    def drain(self) -> None:
        """Go to the end of the body: only there it is known to be as long as announced."""

    def keeper(self, stack: ExitStack) -> Keeper:
        """Return what can keep the file that begins here; it holds what it needs until the stack is closed."""


class Streamed:
    """A body that comes in bytes."""

    def __init__(self, read: Read) -> None:
        """Read by this function. What it raises passes through."""
        self._read = read
        self._rest = b""

    def until(self, delimiter: bytes) -> Iterator[bytes]:
        """Yield what comes before the delimiter, and go past that. Raises Malformed."""
        window, self._rest = self._rest, b""
        while (at := window.find(delimiter)) < 0:
            held = _begun(window, delimiter)
            yield window[: len(window) - held]
            data = self._read(READ_CHUNK)
            if not data:
                yield window[len(window) - held :]
                raise Malformed("The multipart body ends early.")
            window = window[len(window) - held :] + data
        yield window[:at]
        self._rest = window[at + len(delimiter) :]

    def take(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end, and go past them."""
        while len(self._rest) < count and (data := self._read(READ_CHUNK)):
            self._rest += data
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def drain(self) -> None:
        """Read what is left, and forget it."""
        while self._read(READ_CHUNK):
            pass

    def keeper(self, stack: ExitStack) -> Keeper:
        """Copy into a new file of the spool."""
        return _Copied(stack.enter_context(blobs.stage()))


class Spooled:
    """A body that lies in a file of the spool."""

    def __init__(self, body: Staging, *, window: int = WINDOW) -> None:
        """Read this file, so many bytes at a time."""
        self._body = body
        self._window = window
        self._position = 0

    def until(self, delimiter: bytes) -> Iterator[Span]:
        """Yield what comes before the delimiter, and go past that. Raises Malformed."""
        at = self._find(delimiter)
        yield Span(self._body.descriptor, self._position, self._body.size if at is None else at)
        if at is None:
            raise Malformed("The multipart body ends early.")
        self._position = at + len(delimiter)

    def take(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end, and go past them."""
        taken = os.pread(self._body.descriptor, count, self._position)
        self._position += len(taken)
        return taken

    def drain(self) -> None:
        """Do nothing: nginx hands over whole bodies only."""

    def keeper(self, stack: ExitStack) -> Keeper:
        """Cut the body file down to the file that begins here; one that others follow is copied out of it before."""
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
        del last  # each has a file of its own
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
        copy = self._stack.enter_context(blobs.stage())
        for start in range(self._start, self._stop, WINDOW):
            copy.write(os.pread(self._body.descriptor, min(WINDOW, self._stop - start), start))
        return copy


def _begun(window: bytes, delimiter: bytes) -> int:
    """Return how many bytes at the end of the window may be the beginning of the delimiter, at most."""
    tail = window[max(0, len(window) - len(delimiter) + 1) :]
    at = tail.find(delimiter[:1])
    return 0 if at < 0 else len(tail) - at
