"""A receiver of receipts, over real sockets, that verifies every signature and answers as a test says.

`listening()` runs it on a free port of 127.0.0.1. `got` has what came; a wrong signature fails there.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True, slots=True)
class Got:
    """A receipt that came."""

    message_id: str
    timestamp: int
    path: str
    body: bytes
    headers: dict[str, str]

    @property
    def said(self) -> dict[str, Any]:
        """What it says."""
        return dict(json.loads(self.body))


class Receiver(ThreadingHTTPServer):
    """The server, and how it answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[Got] = []
        self.statuses: list[int] = []  # of the first responses; 0 is none, and the connection stays open
        self.location: str | None = None
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/hook?key=hush"

    def events(self) -> list[str]:
        """Return the types of what came."""
        return [got.said["type"] for got in self.got]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        timestamp = int(headers["webhook-timestamp"])
        self.server.got.append(Got(headers["webhook-id"], timestamp, self.path, body, headers))
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        if not status:
            self.server.closing.wait()
            return
        self.send_response(status)
        if self.server.location is not None:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def listening() -> Iterator[Receiver]:
    """Run a receiver until the block ends."""
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=[0.02])
        thread.start()
        try:
            yield receiver
        finally:
            receiver.closing.set()
            receiver.shutdown()
            thread.join()


def verify(secret: str, got: Got) -> None:
    """Raise an error unless the receipt is signed with this secret, at a time near the present."""
    Webhook(secret).verify(got.body, got.headers)
