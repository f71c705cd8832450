"""Send files from Python, in the embedded profile, and report how each response ended. `delivery` calls it.

Sources: RFC 9110 (ranges, conditional requests), PEP 3333 (closing).
"""

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from io import FileIO
from typing import BinaryIO

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, PreconditionFailed

from vimeo_api.core.deliveries import confirmations
from vimeo_api.core.deliveries.confirmations import Sent, Ticket
from vimeo_api.web.sending import sockets

SEND_CHUNK = 64 * 1024  # bytes


def send(file: FileIO, ticket: Ticket | None) -> Response:
    """Answer the current request with an open file; with a ticket, report how the response ends.

    Raises PreconditionFailed and RequestedRangeNotSatisfiable.
    """
    status = os.fstat(file.fileno())
    response = Response()
    # The same ETag as nginx's, so that clients see no difference: mtime and size in hexadecimal.
    response.set_etag(f"{int(status.st_mtime):x}-{status.st_size:x}")
    modified = datetime.fromtimestamp(int(status.st_mtime), UTC)
    response.last_modified = modified
    response.content_length = status.st_size
    body = FileBody(file, Reporter(ticket))
    try:
        _check_unmodified(modified)
        # A POST for a file is answered like a GET, ranges and conditions included, as nginx does.
        asked = request.environ | {"REQUEST_METHOD": "GET"} if request.method == "POST" else request.environ
        response.make_conditional(asked, accept_ranges=_one_range(), complete_length=status.st_size)
    except HTTPException:  # 412, 416
        body.close()
        raise
    if response.status_code == HTTPStatus.PRECONDITION_FAILED:
        body.close()
        raise PreconditionFailed
    del response.headers["Date"]  # the server writes its own
    if response.status_code in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        span = response.content_range
        body.limit(span.start or 0, span.stop or 0) if span else body.limit(0, status.st_size)
        response.response = body
    else:
        body.close()  # 304: no body; give the lease back now, as the client may ask again before the response is closed
    return response


def _check_unmodified(modified: datetime) -> None:
    """Check If-Unmodified-Since, which werkzeug does not. Raises PreconditionFailed (RFC 9110, 13.1.4)."""
    limit = request.if_unmodified_since
    if limit is not None and "If-Match" not in request.headers and modified > limit:
        raise PreconditionFailed


def _one_range() -> bool:
    # Several ranges, and units other than bytes, get the whole file, here and from nginx (max_ranges 1):
    # RFC 9110, 14.2.
    asked = request.headers.get("Range", "bytes=").lower()
    return asked.startswith("bytes=") and "," not in asked


class Reporter:
    """Tells `confirmations` how a response ends; it outlives the request, so it keeps app and socket."""

    def __init__(self, ticket: Ticket | None) -> None:
        """Report under this ticket; without one, report nothing."""
        self._ticket = ticket
        self._app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        self._connection: socket.socket = request.environ["werkzeug.socket"]
        self._ending = False

    def before_last(self) -> None:
        """Note that the next chunk is the last one."""
        if self._ticket:
            self._ending = True
            confirmations.endings.begin(self._ticket.file_id)

    def closed(self, span: tuple[int, int], *, whole: bool) -> None:
        """Report the span that was written, and whether it is the whole response."""
        if self._ticket is None:
            return
        try:
            with self._app.app_context():
                complete = whole and sockets.drained(self._connection)
                confirmations.handle(Sent(self._ticket, span, complete=complete))
        finally:
            if self._ending:
                confirmations.endings.end(self._ticket.file_id)


class FileBody:
    """A span of a file as a WSGI iterable; closing it reports whether all of it was sent."""

    def __init__(self, file: BinaryIO, reporter: Reporter) -> None:
        """Send nothing until `limit` sets the span."""
        self._file = file
        self._reporter = reporter
        self._start = self._position = self._stop = 0
        self._whole = False

    def limit(self, start: int, stop: int) -> None:
        """Send the bytes from `start` up to but not including `stop`."""
        self._file.seek(start)
        self._start = self._position = start
        self._stop = stop

    def __iter__(self) -> Iterator[bytes]:
        if self._start == self._stop:
            self._reporter.before_last()
        while data := self._file.read(min(SEND_CHUNK, self._stop - self._position)):
            if self._position + len(data) == self._stop:
                self._reporter.before_last()
            yield data
            self._position += len(data)
        # Reached only when the server asks for more, so the last chunk is written as well.
        self._whole = self._position == self._stop

    def close(self) -> None:
        """Close the file and report; the WSGI server always calls this (PEP 3333)."""
        if not self._file.closed:
            self._file.close()
            self._reporter.closed((self._start, self._position), whole=self._whole)
