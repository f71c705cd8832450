"""nginx is killed during transfers: the file it was sending is not used up, the one it was receiving is not kept."""

import contextlib
import os
import signal
import socket

import requests

from tests.outages.disks import Shaky
from tests.outages.requesting import get, get_unless, link
from tests.production.parts import children, pid_of
from tests.services import Service, await_

ROW = "nginx"
MIB = 1024**2


def reachable(service: Service) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return get(f"{service.url}/ping").ok
    return False


def test_an_interrupted_download_uses_nothing_up(shaky: Shaky) -> None:
    stack, content = shaky.service, os.urandom(8 * MIB)
    once = link(stack, content)
    await_(lambda: shaky.settled, 60)
    stored = shaky.files("store")
    with (
        socket.create_connection(("127.0.0.1", stack.port), timeout=60) as client,
        get(once, stream=True) as download,
    ):
        client.sendall(
            f"POST /v1/streams HTTP/1.1\r\nHost: h\r\nContent-Length: {MIB}\r\n\r\n".encode() + bytes(MIB - 1)
        )
        await_(shaky.unplaced)
        head = pid_of(stack, "nginx")
        for pid in (head, *children(head)):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            assert len(download.content) < len(content)
    await_(lambda: reachable(stack), 60)
    assert shaky.files("store") <= stored
    answer = get_unless(423, once)
    assert (answer.status_code, answer.content == content) == (200, True)
    shaky.mend()
