"""Raw requests over a socket, which no HTTP library would send."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.services import Service

PATIENCE = 60  # seconds for any answer; one that takes longer is a hang


@dataclass(frozen=True)
class RawResponse:
    """One answer as it came."""

    status: int
    head: str
    body: bytes

    def header(self, name: str) -> str | None:
        found = re.search(rf"(?im)^{re.escape(name)}: *(.*?)\r?$", self.head)
        return found[1] if found else None

    @property
    def headers(self) -> list[str]:
        return [line.split(":", 1)[0].lower() for line in self.head.split("\r\n")[1:] if line]


@contextmanager
def connected(service: Service) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE) as connection:
        yield connection


def raw(service: Service, data: bytes, *, end: bool = False) -> bytes:
    """Send bytes as they are and return all that comes back; `end` says that no more will be sent."""
    with connected(service) as connection:
        try:
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all of it was sent; the response may still have arrived
        return received(connection)


def received(connection: socket.socket) -> bytes:
    """Return what comes until the other side ends the connection."""
    data = b""
    try:
        while piece := connection.recv(64 * 1024):
            data += piece
    except ConnectionResetError:
        pass
    return data


def answers(data: bytes) -> list[RawResponse]:
    """Return the answers in what was received, by their lengths."""
    found = []
    while data:
        head, blank, data = data.partition(b"\r\n\r\n")
        assert blank, (head, data)
        text = head.decode("latin-1")
        status = int(text.split(" ", 2)[1])
        length = re.search(r"(?im)^content-length: *(\d+)", text)
        cut = int(length[1]) if length else len(data)
        found.append(RawResponse(status, text, data[:cut]))
        data = data[cut:]
    return [answer for answer in found if answer.status >= 200]


def ask(
    service: Service,
    target: str,
    *fields: str,
    method: str = "GET",
    body: bytes = b"",
    version: str = "HTTP/1.1",
    host: str | None = "attacked.example",
    end: bool = False,
) -> RawResponse:
    """Send one request, its target and header lines as they are, and return its only answer."""
    lines = [f"{method} {target} {version}", *([] if host is None else [f"Host: {host}"]), "Connection: close", *fields]
    if body and not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in fields):
        lines.append(f"Content-Length: {len(body)}")
    head = "".join(f"{line}\r\n" for line in lines) + "\r\n"
    data = raw(service, head.encode("utf-8", "surrogateescape") + body, end=end)
    if method == "HEAD":
        head_only, _, rest = data.partition(b"\r\n\r\n")
        assert not rest, rest
        text = head_only.decode("latin-1")
        return RawResponse(int(text.split(" ", 2)[1]), text, b"")
    (answer,) = answers(data)
    return answer
