"""Reading bodies over real sockets: bytes are returned as soon as they arrive, and none is lost."""

import fcntl
import socket
import ssl
import struct
import termios
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address

import pytest
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from tests.origin import noise
from vimeo_api.core.fetching import pinned_pool
from vimeo_api.core.fetching.ssrf import Target

RECORD = 16 * 1024  # bytes, the most that TLS puts into one
BODY = noise(4 * RECORD)
ROOM = 1024 * 1024


@dataclass
class Exchange:
    """An answer of which only the headers and the first record have been sent, and who sends it."""

    answer: BaseHTTPResponse
    server: socket.socket

    def send(self, data: bytes) -> None:
        """Send records, and wait until all have arrived."""
        for at in range(0, len(data), RECORD):
            self.server.sendall(data[at : at + RECORD])
        while struct.unpack("i", fcntl.ioctl(self.answer.fileno(), termios.FIONREAD, bytes(4)))[0] < len(data):
            pass

    def read(self) -> bytes:
        return bytes(self.answer.read1(ROOM, decode_content=False))


@pytest.fixture(params=["http", "https"])
def exchange(request: pytest.FixtureRequest, certified: ssl.SSLContext) -> Iterator[Exchange]:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as client:
        target = Target(request.param, "good.example", listener.getsockname()[1], "/")
        pool = pinned_pool.pool(target, [ip_address("127.0.0.1")], lambda _: None, 1)
        asked = client.submit(pool.urlopen, "GET", "/", preload_content=False, retries=False)
        server, _ = listener.accept()
        if request.param == "https":
            server = certified.wrap_socket(server, server_side=True)
        with server:
            asking = b""
            while not asking.endswith(b"\r\n\r\n"):
                asking += server.recv(RECORD)
            server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY[:100]))
            answer = asked.result()
            yield Exchange(answer, server)
            answer.close()


def test_body_bytes_read_with_the_headers_are_returned(exchange: Exchange) -> None:
    assert exchange.read() == BODY[:100]


def test_everything_that_has_arrived_is_returned_at_once(exchange: Exchange) -> None:
    exchange.read()
    exchange.send(BODY[100:])
    assert exchange.read() == BODY[100:]


def test_bytes_received_before_a_broken_connection_are_kept(exchange: Exchange) -> None:
    exchange.read()
    exchange.send(BODY[100:RECORD])
    exchange.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
    exchange.server.close()
    assert exchange.read() == BODY[100:RECORD]
    with pytest.raises(HTTPError):
        exchange.read()
