"""No space for the journal: a download that cannot be confirmed does not start, so no file is given out twice."""

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import requests

from tests.outages.disks import Shaky
from tests.outages.requesting import delete, get, link, refused_for_now, stream
from tests.production.parts import environ_of, pid_of
from tests.services import ROOT, Service, await_, used_up

ROW = "space for the journal, on a disk of its own"


def test_one_time_files_wait_and_all_else_goes_on(shaky: Shaky) -> None:
    first, second, kept = link(shaky.service), link(shaky.service), stream(shaky.service)
    assert get(first).content == b"content"  # now there is space for the lines to come
    log = shaky.seen("journal") / "deliveries.log"
    rotated = log.with_name("deliveries.log.1")
    with shaky.filled("journal", left=4096):
        assert get(second).content == b"content"
        assert used_up(second)
        once = link(shaky.service)
        log.rename(rotated)
        os.kill(pid_of(shaky.service, "nginx"), signal.SIGUSR1)  # nginx -s reopen
        await_(log.exists)
        for _ in range(3):  # the new file has no space
            assert refused_for_now(get(once))
        assert get(kept).content == b"content"
        assert delete(kept).status_code == 200
        later = link(shaky.service)
    rotated.unlink()  # it holds space that the others of this small disk need
    for url in (once, later):
        assert get(url).content == b"content"
        assert used_up(url)


FILES = 24
SIZE = 250_000  # bytes, of which most wait in the service while a client does not read


@contextmanager
def begun(service: Service, url: str) -> Iterator[socket.socket]:
    """Begin a download over a connection with a small receive buffer."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(60)
        client.connect(("127.0.0.1", service.port))
        client.sendall(f"GET {url.removeprefix(service.url)} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        assert client.recv(12) == b"HTTP/1.1 200"
        yield client


def read(client: socket.socket) -> int:
    return sum(map(len, iter(lambda: client.recv(65536), b"")))


def settled(url: str) -> requests.Response:
    """Request a file once its lease is over: a file in doubt is locked, without Retry-After."""
    return await_(lambda: [one for one in [get(url)] if "Retry-After" not in one.headers])[0]


def doubts(service: Service, *words: str) -> str:
    """Run `manage.py doubts` beside the service."""
    command = [sys.executable, "manage.py", "doubts", *words]
    environ = environ_of(service, "worker")
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("reserve", [True, False])
def test_no_download_that_ended_while_the_disk_was_full_is_repeated(
    shaky: Shaky,
    reserve: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    service = shaky.service
    urls = [link(service, bytes(SIZE)) for _ in range(FILES)]
    log = shaky.seen("journal") / "deliveries.log"
    with ExitStack() as stack:
        clients = [stack.enter_context(begun(service, url)) for url in urls]
        if not reserve:
            os.truncate(log, log.stat().st_size)  # gives back the space beyond the end
        with shaky.filled("journal", left=0):
            assert all(read(client) > SIZE for client in clients)
    ends = {url: settled(url) for url in urls}
    told = Counter(answer.status_code for answer in ends.values())
    if reserve:
        assert told == {410: FILES}
        return
    assert set(told) == {410, 423}, told
    doubtful = [url for url, answer in ends.items() if answer.status_code == 423]
    assert "Its owner has to decide." in ends[doubtful[0]].json()["message"]
    ids = [line.split("\t")[0] for line in doubts(service).splitlines()]
    assert len(ids) == told[423]
    doubts(service, "release", ids[0])
    for one in ids[1:]:
        doubts(service, "remove", one)
    assert Counter(get(url).status_code for url in doubtful) == {200: 1, 410: len(ids) - 1}
    assert doubts(service) == ""
