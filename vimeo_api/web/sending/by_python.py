"""Send files from Python, in the embedded profile, and report how each response ended. `delivery` calls it.

Sources: RFC 9110 (ranges, conditional requests), PEP 3333 (closing).
"""

import logging
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from io import RawIOBase

from flask import Flask, Response, current_app, request
from werkzeug.datastructures import ContentRange
from werkzeug.exceptions import PreconditionFailed, RequestedRangeNotSatisfiable

from vimeo_api.core.deliveries import confirmations, endings
from vimeo_api.core.deliveries.lines import Sent, Ticket
from vimeo_api.core.errors import Unavailable
from vimeo_api.web.sending import conditions, sockets
from vimeo_api.web.sending.conditions import Version

_log = logging.getLogger(__name__)

SEND_CHUNK = 64 * 1024  # bytes


def send(file: RawIOBase, version: Version, ticket: Ticket | None) -> Response:
    """Answer the current request with an open file; with a ticket, report how the response ends.

    Raises PreconditionFailed and RequestedRangeNotSatisfiable; OSError and Unavailable if no byte can be read.
    """
    # A POST for a file is answered like a GET, as nginx does.
    status, span = conditions.judge(request.headers, version, with_ranges=request.method != "HEAD")
    body = FileBody(file, Reporter(ticket))
    if status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        body.close()  # give the lease back before the response is sent: the client may retry at once
        return without_bytes(status, version)
    start, stop = span or (0, version.size)
    body.limit(start, stop)
    if request.method != "HEAD":
        body.begin()
    response = Response(body, status)
    _validate(response, version)
    response.content_length = stop - start
    response.headers["Accept-Ranges"] = "bytes"
    if span:
        response.content_range = ContentRange("bytes", start, stop, version.size)
    return response


def head(version: Version) -> Response:
    """Return the response to HEAD for a file that we do not open."""
    response = Response()
    _validate(response, version)
    response.content_length = version.size
    response.headers["Accept-Ranges"] = "bytes"
    return response


def without_bytes(status: HTTPStatus, version: Version) -> Response:
    """Return a 304. Raises PreconditionFailed for 412 and RequestedRangeNotSatisfiable for 416."""
    if status is HTTPStatus.PRECONDITION_FAILED:
        raise PreconditionFailed("")  # nginx's own refusal has no sentence either
    if status is HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise RequestedRangeNotSatisfiable(length=version.size, description="")
    response = Response(status=status)
    _validate(response, version)
    return response


def _validate(response: Response, version: Version) -> None:
    response.headers["ETag"] = version.etag
    response.last_modified = datetime.fromtimestamp(version.modified, UTC)


class Reporter:
    """Tells `confirmations` how a response ends; it outlives the request, so it keeps app and socket."""

    def __init__(self, ticket: Ticket | None) -> None:
        """Report under this ticket; without one, report nothing."""
        self._ticket = ticket
        self._app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        self._connection: socket.socket = request.environ["werkzeug.socket"]
        self._ending = False
        self._begun = time.monotonic()

    def before_last(self) -> None:
        """Note that the next chunk is the last one."""
        if self._ticket:
            self._ending = True
            endings.begin(self._ticket.file_id)

    def closed(self, span: tuple[int, int], *, whole: bool) -> None:
        """Report the span that was written, and whether it is the whole response."""
        if self._ticket is None:
            return
        try:
            with self._app.app_context():
                complete = whole and sockets.drained(self._connection)
                seconds = time.monotonic() - self._begun
                confirmations.handle(Sent(self._ticket, span, complete=complete, seconds=seconds))
        finally:
            if self._ending:
                endings.end(self._ticket.file_id)


class FileBody:
    """A span of a file as a WSGI iterable; closing it reports whether all of it was sent."""

    def __init__(self, file: RawIOBase, reporter: Reporter) -> None:
        """Send nothing until `limit` sets the span."""
        self._file = file
        self._reporter = reporter
        self._start = self._position = self._handed = self._stop = 0
        self._whole = False
        self._begun: bytes | None = None

    def limit(self, start: int, stop: int) -> None:
        """Send the bytes from `start` up to but not including `stop`."""
        self._file.seek(start)
        self._start = self._position = self._handed = start
        self._stop = stop

    def begin(self) -> None:
        """Read the first bytes, as long as the client can still be told that it gets none. Raises what reading does."""
        try:
            self._begun = self._read()
        except (OSError, Unavailable):
            self.close()  # this gives the lease back
            raise

    def __iter__(self) -> Iterator[bytes]:
        if self._start == self._stop:
            self._reporter.before_last()
        while data := self._read_on():
            if self._position + len(data) == self._stop:
                self._reporter.before_last()
            self._handed += len(data)  # counted first: an interrupted write may have sent part of it
            yield data
            self._position += len(data)
        # Reached only when the server asks for more, so the last chunk is written as well.
        self._whole = self._position == self._stop

    def _read_on(self) -> bytes | None:
        """Read the next bytes. Raises ConnectionAbortedError, after which the server closes the connection."""
        try:
            return self._read()
        except (OSError, Unavailable) as error:
            _log.warning("a response is cut off: %s", error)
            raise ConnectionAbortedError from None

    def _read(self) -> bytes | None:
        begun, self._begun = self._begun, None
        return begun or self._file.read(min(SEND_CHUNK, self._stop - self._position))

    def close(self) -> None:
        """Close the file and report; the WSGI server always calls this (PEP 3333)."""
        if not self._file.closed:
            self._file.close()
            self._reporter.closed((self._start, self._handed), whole=self._whole)
