"""The bytes of a request's body, streamed or spooled; `receive` stages them.

In production nginx has spooled the whole body before we are called and names the file in `X_BODY_FILE`, which no
client can set: parameters made from headers begin with HTTP_. In the embedded profile the body streams in from
`wsgi.input`. Do not touch `request.form`, `files` or `values`: they would read the body first.
Sources: RFC 9112 section 6 (body length), PEP 3333, ngx_http_core_module (client_body_in_file_only).
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import request
from werkzeug.exceptions import ClientDisconnected

from vimeo_api.core.errors import Malformed, StorageFull, TooLarge
from vimeo_api.core.storage.reservations import Reservation
from vimeo_api.extensions import blobs, reservations, settings
from vimeo_api.web import clients

READ_CHUNK = 64 * 1024  # bytes per read; larger ones were slower
LINGER_SECONDS = 30  # to read on after refusing a body, so that the client sees the response; nginx's lingering_time

Read = Callable[[int], bytes]  # like BinaryIO.read: b"" is the end


@contextmanager
def opened(max_bytes: int | None, *, kept: bool = True) -> Iterator[Read]:
    """Open the current request's body; yield its reader. If its bytes are `kept`, the disk must have space for them.

    The block may raise Malformed, TooLarge or StorageFull to refuse the body. The reader raises Malformed for a body
    that ends early, and TooLarge for one over max_bytes, before its first byte if a Content-Length says so.
    """
    limit = math.inf if max_bytes is None else max_bytes
    with _spooled() if settings.behind_nginx else _streamed(limit, kept=kept) as read:
        yield _bounded(read, limit)


def drain() -> None:
    """Let the client see that its body is refused: a streamed body is read and dropped."""
    if not settings.behind_nginx:
        _linger()


def spooled_file() -> Path | None:
    """Return the file that nginx has spooled the current request's body to.

    None for an empty body, and in the embedded profile.
    """
    path = request.environ.get("X_BODY_FILE") if settings.behind_nginx else None
    return Path(path) if path else None


@contextmanager
def _spooled() -> Iterator[Read]:
    path = spooled_file()
    if path is None:
        yield lambda _size: b""
        return
    with blobs.adopt(path) as body:
        yield lambda size: os.read(body.descriptor, size)


@contextmanager
def _streamed(limit: float, *, kept: bool) -> Iterator[Read]:
    if (request.content_length or 0) > limit:
        _linger()
        raise TooLarge
    try:
        if kept:
            with reservations.reserved(request.content_length or 0, client=clients.client()) as reservation:
                yield _measured(reservation)
        else:
            yield _read_stream
    except (Malformed, TooLarge, StorageFull):
        _linger()
        raise


def _measured(reservation: Reservation) -> Read:
    """Return a reader that checks for each piece whether the disk still has space. It raises StorageFull."""
    received = 0

    def read(size: int) -> bytes:
        nonlocal received
        data = _read_stream(size)
        reservations.check_spool_space(len(data))
        received += len(data)
        reservation.advance(received)
        return data

    return read


def _read_stream(size: int) -> bytes:
    try:
        return request.stream.read(size)
    except (ClientDisconnected, OSError) as error:
        raise Malformed("The body is shorter than announced.") from error


def _linger() -> None:
    """Read and drop the rest: closing with unread bytes would reset the connection and lose the response."""
    deadline = time.monotonic() + LINGER_SECONDS
    try:
        while time.monotonic() < deadline and _read_stream(READ_CHUNK):
            pass
    except Malformed:
        return  # the client is gone


def _bounded(read: Read, limit: float) -> Read:
    left = limit

    def bounded(size: int) -> bytes:
        nonlocal left
        data = read(size)
        left -= len(data)
        if left < 0:
            raise TooLarge
        return data

    return bounded
