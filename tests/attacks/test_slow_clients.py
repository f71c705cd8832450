"""Slow clients in both directions: a thousand send or read almost nothing while others are served."""

import resource
import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import pytest
import requests

from tests.attacks.wire import answers, received
from tests.services import Service, await_

pytestmark = pytest.mark.usefixtures("unharmed")

# Each connection is a thread of the embedded server, and a file in the spool while its body arrives.
CROWD = {"production": 1000, "embedded": 150}
LARGE = b"x" * (4 * 1024**2)  # more than all buffers on the way
HEAD = b"POST /v1/streams HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture(autouse=True)
def many_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))


@contextmanager
def crowd(service: Service, sent: Sequence[bytes]) -> Iterator[list[socket.socket]]:
    """Hold connections on which this much has been sent, in turn."""
    with ExitStack() as stack:
        held = []
        for number in range(CROWD[service.profile]):
            connection = socket.socket()
            stack.enter_context(connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(60)
            connection.connect(("127.0.0.1", service.port))
            connection.sendall(sent[number % len(sent)])
            held.append(connection)
        yield held


def serves(service: Service) -> None:
    """Fail unless the service answers others."""
    assert requests.get(f"{service.url}/ping", timeout=60).json() == {"message": "pong", "status": "ok"}
    stream = requests.post(f"{service.url}/v1/streams", data=b"small", timeout=60).json()["id"]
    assert requests.get(f"{service.url}/v1/streams/{stream}", timeout=60).content == b"small"
    link = requests.put(service.vimeo, files={"file": ("f.txt", b"once")}, timeout=60).json()["url"]
    assert requests.get(link, timeout=60).content == b"once"


def test_endless_request_heads_do_not_block_others(service: Service) -> None:
    with crowd(service, [b"", b"G", b"GET /ping HTTP/1.1\r\n", b"GET /ping HTTP/1.1\r\nHost: a\r\nX: "]) as held:
        serves(service)
        for connection in held:
            connection.sendall(b"y")
        serves(service)


def test_endless_bodies_do_not_block_others(service: Service) -> None:
    form = b"PUT /vimeo/api/v1.0/file HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
    stored, spooled = service.stored(), service.spooled()
    with crowd(service, [HEAD, HEAD + b"x", form + b"Content-Length: 999\r\n\r\n--b\r\n", chunked]) as held:
        serves(service)
        for connection in held:
            connection.sendall(b"y")
        serves(service)
    await_(lambda: service.spooled() <= spooled)
    assert len(service.stored() - stored) <= 4  # those of `serves`


def test_responses_that_are_never_read_do_not_block_others(service: Service) -> None:
    stream = requests.post(f"{service.url}/v1/streams", data=LARGE, timeout=60).json()["id"]
    request = f"GET /v1/streams/{stream} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    with crowd(service, [request]) as held:
        serves(service)
        assert len(received(held[0])) > len(LARGE)
        serves(service)
    assert requests.delete(f"{service.url}/v1/streams/{stream}", timeout=60).status_code == 200


def test_a_client_that_received_all_uses_up_the_file_without_closing(service: Service) -> None:
    link = requests.put(service.vimeo, files={"file": ("f.txt", b"once")}, timeout=60).json()["url"]
    path = link.removeprefix(service.url)
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        data = b""
        while not data.endswith(b"once"):
            data += connection.recv(4096)
        await_(lambda: requests.get(link, timeout=60).status_code == 410)


@pytest.mark.parametrize(
    ("head", "endless"),
    [
        (b"GET /", b"a" * 1000),
        (b"GET /ping HTTP/1.1\r\nHost: a\r\n", b"X" * 1000),
        (b"GET /ping HTTP/1.1\r\nHost: a\r\n", b"X: " + b"y" * 1000 + b"\r\n"),
        (b"GET /ping HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n" * 200),
    ],
)
def test_an_endless_request_head_is_answered_before_it_ends(service: Service, head: bytes, endless: bytes) -> None:
    """Not after the megabytes that fit into the buffers on the way."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(head)
        with suppress(BrokenPipeError, ConnectionResetError):  # it hangs up with unread bytes
            for _ in range(1000):
                if select.select([connection], [], [], 0)[0]:
                    break
                connection.sendall(endless)
            (answer,) = answers(connection.recv(4096))
            assert answer.status in {400, 414, 431}
    serves(service)
