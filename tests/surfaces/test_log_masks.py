"""Links of files, ids of streams and control characters are in no log, whatever the request, in both profiles."""

import contextlib
import socket
from secrets import token_hex
from urllib.parse import urlsplit

import pytest
import requests

from tests.services import Service, await_
from vimeo_api import logs

SPELLINGS = [
    "{path}",
    "{path}?password=x",
    "{path}/",
    "{path}/more",
    "/x/..{path}",
    "/.{path}",
    "/{path}",
    "{encoded}",
    "{front}%2F{key}",
    "{path}%00",
    "http://h{path}",
    "/typo/{key}",
    "/vimeo/api/v1.0/files/{key}",
]
QUIET = {"User-Agent": "Slackbot 1.0", "Sec-Purpose": "prefetch"}


def test_no_log_has_a_link_or_an_id(service: Service) -> None:
    sizes = service.log_sizes()
    new = requests.put(service.vimeo, files={"file": ("a.txt", b"x")}, timeout=60).json()
    link = new["url"]
    stream = requests.post(f"{service.url}/v1/queues/q{token_hex(4)}/streams", data=b"x", timeout=60).json()["id"]
    queued = f"/v1/queues/q/streams/{stream}/next"
    paths = [urlsplit(link).path, f"/v1/streams/{stream}", f"/v1/joins/{stream}", queued]
    paths += [f"/uploadFile/1:{token_hex(32)}", urlsplit(new["manage_url"]).path]
    for method in ("GET", "HEAD", "BREW"):
        for path in paths:
            for spelling in SPELLINGS:
                front, _, key = path.removesuffix("/next").rpartition("/")
                encoded = path.replace("v1", "%761").replace("upload", "%75pload")
                tell(service, f"{method} {spelling.format(path=path, front=front, key=key, encoded=encoded)} HTTP/1.1")
    requests.get(link, headers=QUIET, timeout=60)
    requests.get(link, timeout=60)
    requests.delete(f"{service.url}/v1/streams/{stream}", timeout=60)
    last = f"/download/{token_hex(16)}"
    requests.get(service.url + last, timeout=60)
    await_(lambda: last in service.logs_since(sizes))
    said = service.logs_since(sizes)
    assert "/vimeo/api/v1.0/file/***" in said
    assert "/v1/streams/***" in said
    for path in paths:
        key = path.removesuffix("/next").rpartition("/")[2]
        assert [line for line in said.splitlines() if key in line or key.replace(":", "%3A") in line] == []


def test_no_log_has_control_characters(service: Service) -> None:
    sizes = service.log_sizes()
    for method in ("\x1b[2J", "G\x07ET", "\x9b31m", "GE\rT"):
        tell(service, f"{method} /ping HTTP/1.1")
    last = f"/download/{token_hex(16)}"
    requests.get(service.url + last, timeout=60)
    await_(lambda: last in service.logs_since(sizes))
    said = service.logs_since(sizes)
    assert [letter for letter in said if not letter.isprintable() and letter != "\n"] == []


def tell(service: Service, line: str) -> None:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", service.port), timeout=60) as client:
        client.sendall(f"{line}\r\nHost: h\r\nConnection: close\r\n\r\n".encode("latin-1"))
        while client.recv(65536):
            pass


@pytest.mark.parametrize(
    "path", ["/upload/0123456789abcdef0123456789abcdef.txt", "/download/a", "/v1/streams", "/", ""]
)
def test_other_paths_are_logged_as_they_are(path: str) -> None:
    assert logs.masked(path) == path
