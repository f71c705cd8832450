"""Uploads through nginx: what slow clients cost the others, and what stays in the spool."""

import json
import os
import random
import socket
from contextlib import ExitStack

import requests

from tests.services import Service, await_

MIB = 1024**2
SLOW = 8 * len(os.sched_getaffinity(0)) + 4  # more than uWSGI has threads
BOUNDARY = "b0undary"
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'.encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


def begun(service: Service, body: bytes) -> socket.socket:
    """Send the head of a multipart upload and the first half of its body."""
    client = socket.create_connection(("127.0.0.1", service.port), timeout=60)
    head = f"PUT /vimeo/api/v1.0/file HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    client.sendall(f"{head}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode())
    client.sendall(body[: len(body) // 2])
    return client


def test_slow_clients_block_nobody(stack: Service) -> None:
    await_(lambda: not stack.spooled())
    content = random.randbytes(MIB)
    body = HEAD + content + TAIL
    with ExitStack() as clients:
        slow = [clients.enter_context(begun(stack, body)) for _ in range(SLOW)]
        await_(lambda: len(stack.spooled()) == SLOW)
        answer = requests.put(stack.vimeo, files={"file": ("b.bin", b"quick")}, timeout=60)
        assert answer.status_code == 201
        assert requests.get(answer.json()["url"], timeout=60).content == b"quick"
        for client in slow:
            client.sendall(body[len(body) // 2 :])
        answers = [client.makefile("rb").read() for client in slow]
    links = [json.loads(answer.partition(b"\r\n\r\n")[2])["url"] for answer in answers]
    assert len(set(links)) == SLOW
    for link in links:
        path = link.split("/vimeo/", 1)[1]
        assert requests.get(f"{stack.url}/vimeo/{path}", timeout=60).content == content
    await_(lambda: not stack.spooled())
