"""Send one request and record exactly what was sent, what came back, and when."""

import http.client
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote

PATIENCE = 300  # seconds without a byte; whatever breaks is to break by itself
RECEIVE_BUFFER = 64 * 1024  # bytes that the kernel may take for a reader, which nginx counts as sent
PIECE = 64 * 1024


class Fate(StrEnum):
    """What a client knows about the outcome of its request."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # it may have happened
    UNSENT = "unsent"  # nothing was listening


@dataclass(frozen=True)
class Reply:
    """An answer as far as it came; `status` is 0 where none did. Times are those of time.monotonic()."""

    status: int
    reached: bool
    complete: bool
    sent_at: float
    heard_at: float  # the headers arrived
    ended_at: float
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def fate(self) -> Fate:
        """What became of the request, as far as we can know."""
        if not self.reached:
            return Fate.UNSENT
        if self.status == 0 or self.status >= 500 or not self.complete:
            return Fate.UNKNOWN
        return Fate.DONE if self.status < 400 else Fate.REFUSED


class _Connection(http.client.HTTPConnection):
    """A connection with a small receive buffer."""

    def connect(self) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.sock.settimeout(PATIENCE)
        self.sock.connect((self.host, self.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def ask(
    port: int,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    stop_after: int | None = None,
    linger: float = 0,
) -> Reply:
    """Send a request to a port of this host; hang up after so many bytes of the answer's body, if told to.

    A slow reader lingers for so many seconds between headers and body.
    """
    connection = _Connection("127.0.0.1", port)
    sent_at = time.monotonic()
    try:
        connection.connect()
    except OSError:
        connection.close()
        return Reply(0, reached=False, complete=False, sent_at=sent_at, heard_at=sent_at, ended_at=time.monotonic())
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
    except (OSError, http.client.HTTPException):
        connection.close()
        return Reply(0, reached=True, complete=False, sent_at=sent_at, heard_at=sent_at, ended_at=time.monotonic())
    heard_at = time.monotonic()
    time.sleep(linger)
    got, complete = _read(response, stop_after)
    connection.close()
    known = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, True, complete, sent_at, heard_at, time.monotonic(), got, known)  # noqa: FBT003


def _read(response: http.client.HTTPResponse, stop_after: int | None) -> tuple[bytes, bool]:
    got = bytearray()
    try:
        while stop_after is None or len(got) < stop_after:
            piece = response.read(PIECE if stop_after is None else min(PIECE, stop_after - len(got)))
            if not piece:
                return bytes(got), response.length in (None, 0)
            got += piece
    except http.client.IncompleteRead as error:
        got += error.partial
    except (OSError, http.client.HTTPException):
        return bytes(got), False
    return bytes(got), False


def form(name: str, content: bytes, **fields: str) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a multipart upload."""
    mark = "----a-boundary-that-no-noise-contains"
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n' for key, value in fields.items()
    ]
    parts.append(f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n')
    body = "".join(parts).encode() + content + f"\r\n--{mark}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={mark}"}


def query(**values: str) -> str:
    """Return a query string."""
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in values.items())
