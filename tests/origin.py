"""An origin that misbehaves as configured, per path, over real sockets.

`serving()` runs it on a free port of 127.0.0.1; a `Page` says how a path behaves. `requests` has what it was asked.
"""

import hashlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

DATE = "Mon, 05 Jan 2026 10:00:00 GMT"
OLDER = "Sun, 04 Jan 2026 10:00:00 GMT"
_PIECE = 16 * 1024
_INVERTED = bytes(range(255, -1, -1))


@dataclass
class Page:
    """A path's content, and how it is (mis)served."""

    content: bytes = field(default=b"", repr=False)
    etag: str | None = '"one"'
    modified: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    # How it responds to ranges: as requested; with 200, always or from the second request on; starting a byte late; a
    # few bytes at a time; with a wrong total; ignoring If-Range; the same and without a validator; as
    # multipart/byteranges; with 416.
    ranges: Literal[
        "yes", "no", "first", "late", "short", "lying", "blind", "blind and mute", "multipart", "refused"
    ] = "yes"
    # How the end of the body is marked, or how its length is wrong.
    framing: Literal["length", "chunked", "close", "longer", "shorter"] = "length"
    first: list["Page"] = field(default_factory=list, repr=False)  # these respond first, one request each
    statuses: list[int] = field(default_factory=list)  # sent first, one per request
    retry_after: str | None = None  # sent with those
    location: str | None = None  # redirect there
    throttle: int | None = None  # bytes per second and connection
    break_after: int | None = None  # bytes of each body; then the connection breaks
    breaks: int = 10**9  # how often that happens
    stall_after: int | None = None  # bytes of a body; then nothing more, but the connection stays open
    stalls: int = 10**9  # how often that happens
    gate: threading.Event | None = None  # no body until it is set
    changes_after: int | None = None  # requests; then content and ETag change
    huge_header: bool = False  # endless header lines
    dripping: bool = False  # a header that never ends, a byte at a time
    at_most: int | None = None  # connections at once; more get 503
    range_status: int | None = None  # sent to requests for a range
    ranges_given: int = 0  # so many requests get a range before that
    cookie: str | None = None  # requests without this one get 403
    raw: bytes | None = field(default=None, repr=False)  # the whole response, head included; then the connection ends


@dataclass
class Request:
    """A request that the origin got."""

    path: str
    headers: dict[str, str]
    client: tuple[str, int]


class Origin(ThreadingHTTPServer):
    """The server and its pages."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), _Handler)
        self.pages: dict[str, Page] = {}
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self.busy: set[socket.socket] = set()  # connections with a running request
        self.busiest = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server_port

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        """Return the URL of a path."""
        return f"{scheme}://{host}:{self.port}{path}"

    def serve(self, path: str, page: Page) -> str:
        """Serve a page at a path and return its URL."""
        self.pages[path] = page
        return self.url(path)

    def asked(self, name: str) -> list[str | None]:
        """Return a header of every request so far."""
        return [request.headers.get(name.lower()) for request in self.requests]

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: clients hang up on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Origin
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        pass

    def do_GET(self) -> None:
        origin, path = self.server, urlsplit(self.path).path
        page = origin.pages.get(path, Page(statuses=[404] * 99))
        with origin.lock:
            headers = {key.lower(): value for key, value in self.headers.items()}
            origin.requests.append(Request(self.path, headers, self.client_address))
            number = sum(1 for request in origin.requests if urlsplit(request.path).path == path)
            page = page.first.pop(0) if page.first else page
            status = page.statuses.pop(0) if page.statuses else None
            origin.busy.add(self.connection)
            busy = sum(map(_open, origin.busy))
            origin.busiest = max(origin.busiest, busy)
            if page.at_most is not None and busy > page.at_most:
                status = 503
        try:
            self._answer(page, number, status)
        finally:
            with origin.lock:
                origin.busy.discard(self.connection)

    def _answer(self, page: Page, number: int, status: int | None) -> None:
        if status is not None:
            self._plain(status, {"Retry-After": page.retry_after} if page.retry_after else {})
        elif page.location is not None:
            self._plain(302, {"Location": page.location, **page.headers})
        elif page.cookie is not None and page.cookie not in self.headers.get("Cookie", "").split("; "):
            self._plain(403, {})
        elif page.range_status is not None and "Range" in self.headers and number > page.ranges_given:
            self._plain(page.range_status, {})
        elif page.raw is not None:
            self.close_connection = True
            self.wfile.write(page.raw)
        elif page.huge_header:
            self._bad_headers(b"X-More: " + b"x" * 60_000 + b"\r\n", 100, 0)
        elif page.dripping:
            self._bad_headers(b"x", 10**9, 0.01)
        else:
            self._file(page, number)

    def _plain(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(key, value)
        self.end_headers()

    def _bad_headers(self, line: bytes, times: int, pause: float) -> None:
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(times):
            self.wfile.write(line)
            if pause and self.server.closing.wait(pause):
                return

    def _file(self, page: Page, number: int) -> None:
        content, etag = page.content, page.etag
        if page.changes_after is not None and number > page.changes_after:
            content, etag = changed(content), '"two"'
        asked = self._asked(page, number, len(content), etag)
        if asked == (0, 0) or (asked and page.ranges == "refused"):
            self._plain(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        self.send_response_only(206 if asked else 200)
        self.send_header("Date", DATE)
        self._describe(page, etag, asked, content)
        body = content[slice(*asked)] if asked else content
        if asked and page.ranges == "multipart":
            body = b"--x\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%b\r\n--x--" % (
                *(asked[0], asked[1] - 1, len(content)),
                body,
            )
        self._frame(page, len(body))
        self.end_headers()
        self._body(page, body)

    def _asked(self, page: Page, number: int, size: int, etag: str | None) -> tuple[int, int] | None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        unchanged = page.ranges.startswith("blind") or self.headers.get("If-Range") in (None, etag, page.modified)
        if not match or not unchanged or page.ranges == "no" or (page.ranges == "first" and number > 1):
            return None
        start, end = int(match[1]), min(int(match[2] or size) + 1, size)
        if page.ranges == "late" and number > 1:
            start += 1
        if page.ranges == "short":
            end = min(end, start + 50_000)
        return start, end

    def _describe(self, page: Page, etag: str | None, asked: tuple[int, int] | None, content: bytes) -> None:
        headers = dict(page.headers)
        mute = page.ranges == "blind and mute" and "If-Range" in self.headers
        if etag and not mute:
            headers["ETag"] = etag
        if page.modified and not mute:
            headers["Last-Modified"] = page.modified
        if asked and page.ranges == "multipart":
            headers["Content-Type"] = "multipart/byteranges; boundary=x"
        elif asked:
            total = len(content) + (1000 if page.ranges == "lying" else 0)
            headers["Content-Range"] = f"bytes {asked[0]}-{asked[1] - 1}/{total}"
        for key, value in headers.items():
            self.send_header(key, value)

    def _frame(self, page: Page, length: int) -> None:
        if page.framing == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        elif page.framing == "close":
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(length + {"longer": 1000, "shorter": -1000}.get(page.framing, 0)))

    def _body(self, page: Page, body: bytes) -> None:
        if page.gate:
            page.gate.wait()
        sent, fate = 0, self._fate(page, len(body))
        end = len(body) if fate is None else fate[0]
        while sent < end:
            piece = body[sent : min(sent + _PIECE, end)]
            if page.throttle and self.server.closing.wait(len(piece) / page.throttle):
                return
            sent += len(piece)
            if sent == len(body):
                # The client may have its last byte and have moved on before this thread runs again.
                with self.server.lock:
                    self.server.busy.discard(self.connection)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if page.framing == "chunked" else piece)
        if fate is not None:
            self._misbehave(fate[1])
        elif page.framing == "chunked":
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = self.close_connection or page.framing in {"longer", "shorter"}

    def _fate(self, page: Page, length: int) -> tuple[int, Literal["break", "stall"]] | None:
        """Decide, once per body, whether it breaks or stalls, and after how many bytes."""
        with self.server.lock:
            if page.stall_after is not None and page.stall_after < length and page.stalls > 0:
                page.stalls -= 1
                return page.stall_after, "stall"
            if page.break_after is not None and page.break_after < length and page.breaks > 0:
                page.breaks -= 1
                return page.break_after, "break"
        return None

    def _misbehave(self, kind: Literal["break", "stall"]) -> None:
        if kind == "stall":
            self.server.closing.wait()
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _open(connection: socket.socket) -> bool:
    """Return whether the client is still connected; a write would notice that late."""
    try:
        return socket.socket.recv(connection, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


@contextmanager
def serving(tls: ssl.SSLContext | None = None, *, address: str = "127.0.0.1") -> Iterator[Origin]:
    """Run an origin until the block ends."""
    with Origin(address) as origin:
        if tls is not None:
            origin.socket = tls.wrap_socket(origin.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=origin.serve_forever, args=[0.02])
        thread.start()
        try:
            yield origin
        finally:
            origin.closing.set()
            origin.shutdown()
            thread.join()


def noise(size: int) -> bytes:
    """Return bytes without repetition, so that a misplaced one shows."""
    return hashlib.shake_128(b"noise").digest(size)


def changed(content: bytes) -> bytes:
    """Return bytes of the same length that all differ."""
    return content.translate(_INVERTED)
