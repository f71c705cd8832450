"""All surfaces at once: they do not mix, every error uses the dialect of its path, no bad request gets a 500."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient

from tests.services import Service

UUID = "20ef43f7-4bfd-4b86-9204-7c857a09a940"
HEX = "0" * 32
DIGEST = "0" * 64
JSON = "application/json"
TEXT = "text/plain"
HTML = "text/html"

# Each path and how its errors look to a client without preferences.
PATHS = {
    "/vimeo": JSON,
    "/vimeo/api/v1.0/file": JSON,
    f"/vimeo/api/v1.0/file/{HEX}": JSON,
    "/vimeo/nothing": JSON,
    "/v1": TEXT,
    "/v1/streams": TEXT,
    f"/v1/streams/{UUID}": TEXT,
    f"/v1/streams/{UUID}/more": TEXT,
    "/v1/streams:join": TEXT,
    f"/v1/joins/{UUID}": TEXT,
    "/v1/queues/q/streams": TEXT,
    "/v1/queues/q/first": TEXT,
    "/v1/queues/q/take": TEXT,
    f"/v1/queues/q/streams/{UUID}": TEXT,
    f"/v1/queues/q/streams/{UUID}/next": TEXT,
    f"/v1/queues/q/streams/{UUID}/previous": TEXT,
    "/ping": TEXT,
    "/": TEXT,
    f"/?file_hash={DIGEST}": TEXT,
    "/upload": HTML,
    "/upload/a.exe": HTML,
    "/upload/a.txt/b": HTML,
    "/download": JSON,
    "/download/none.txt": JSON,
    "/uploadFile": JSON,
    "/uploadFile/x": JSON,
    "/downloadFile": JSON,
    "/downloadFile?file_id=x": JSON,
    "/uploadFiles": JSON,
    "/healthz": JSON,
    "/healthz/more": JSON,
    "/readyz": JSON,
    "/metrics": JSON,
    "/nothing": JSON,
}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
TYPES = [
    None,
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "text/plain; charset=nonsense",
    "\xff",
]
BODIES = [b"", b"\x00\xff\xfe", b"{", b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n']


# Requests that every surface also gets through the whole service: to a path that reads bodies, and to a missing one.
THROUGH_ALL = ["/vimeo/api/v1.0/file", "/v1/streams", "/", "/upload", "/uploadFile", "/metrics", "/nothing"]


@dataclass(frozen=True)
class Case:
    """A request that may be broken."""

    method: str
    path: str
    kind: str | None
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.kind is None else {"Content-Type": self.kind}


def cases(path: str, allowed: set[str]) -> Iterator[Case]:
    """Yield every broken body of every type for the methods of a path, and a few for those that it does not have."""
    for method in METHODS:
        if method in allowed - {"HEAD", "OPTIONS"}:
            yield from (Case(method, path, kind, body) for kind in TYPES for body in BODIES)
        else:
            yield Case(method, path, None, b"")
            yield Case(method, path, "multipart/form-data; boundary=x", BODIES[-1])


@pytest.mark.parametrize("path", PATHS)
def test_no_broken_request_gives_a_500_or_another_dialect(inprocess: Flask, path: str) -> None:
    client = inprocess.test_client()
    for case in cases(path, allowed_there(client, path)):
        answer = client.open(path, method=case.method, data=case.body, headers=case.headers)
        _speaks(case, answer.status_code, dict(answer.headers), answer.text)


def allowed_there(client: FlaskClient, path: str) -> set[str]:
    return set(client.options(path).headers.get("Allow", "").split(", "))


@pytest.mark.parametrize("path", THROUGH_ALL)
def test_no_broken_request_gives_a_500_through_the_whole_service(service: Service, path: str) -> None:
    with requests.Session() as session:
        for method in METHODS:
            for kind, body in ((None, b"{"), ("multipart/form-data; boundary=x", BODIES[-1]), ("\xff", BODIES[1])):
                case = Case(method, path, kind, body)
                headers = {name: value.encode("latin-1") for name, value in case.headers.items()}
                answer = session.request(
                    method, service.url + path, data=body, headers=headers, timeout=60, allow_redirects=False
                )
                _speaks(case, answer.status_code, answer.headers, answer.text)


def _speaks(case: Case, status: int, headers: Mapping[str, str], text: str) -> None:
    """Fail unless an answer is worded as those of its path are."""
    seen = (case, status, text)
    assert status < 500 or (status, case.path) == (501, "/uploadFile"), seen
    if status < 400 or case.method == "HEAD":
        return
    if status == 405 and not headers.get("Allow"):
        assert case.method in {"TRACE", "BREW"}, seen  # nginx itself refuses TRACE
        return
    if case.path.startswith(("/v1/streams/", "/v1/queues/")) and case.method == "DELETE" and status == 404:
        assert json.loads(text)["error"]["Op"] == "remove" if "/more" not in case.path else True, seen
        return
    assert headers["Content-Type"].startswith(PATHS[case.path]), seen
    if PATHS[case.path] == JSON:
        keys = ["error", "message"] if case.path.split("/")[1] == "vimeo" else ["error"]
        assert list(json.loads(text)) == keys, seen
    if PATHS[case.path] == HTML:
        assert "<h1>" in text, seen
        assert ("Upload file error" in text) == (case.method == "POST"), seen


def test_surfaces_do_not_see_each_others_files(service: Service) -> None:
    content = random.randbytes(100)
    name = f"{random.randrange(10**12)}.txt"
    link = requests.put(service.vimeo, files={"file": (name, content)}, timeout=60).json()["url"].rsplit("/", 1)[1]
    stream = requests.post(f"{service.url}/v1/streams", data=content, timeout=60).json()["id"]
    digest = requests.post(f"{service.url}/", data=content, timeout=60).text
    assert requests.post(f"{service.url}/upload/{name}", data=content, timeout=60).status_code == 201
    sealed = requests.post(f"{service.url}/uploadFile", files={"file": (name, content)}, timeout=60).json()["file_id"]
    keys = {link, stream, digest, name, sealed.partition(":")[0], sealed}
    readers = {
        "/vimeo/api/v1.0/file/{}": {link},
        "/v1/streams/{}": {stream},
        "/?file_hash={}": {digest},
        "/download/{}": {name},
        "/downloadFile?file_id={}": {sealed},
    }
    for reader, own in readers.items():
        for key in keys:
            answer = requests.get(service.url + reader.format(quote(key, safe="")), timeout=60)
            assert (answer.status_code == 200) == (key in own), (reader, key)


def test_deleting_on_one_surface_keeps_equal_content_on_another(service: Service) -> None:
    content = random.randbytes(100)
    digest = requests.post(f"{service.url}/", data=content, timeout=60).text
    stream = requests.post(f"{service.url}/v1/streams", data=content, timeout=60).json()["id"]
    assert requests.delete(f"{service.url}/?file_hash={digest}", timeout=60).status_code == 200
    assert requests.get(f"{service.url}/v1/streams/{stream}", timeout=60).content == content


@pytest.mark.parametrize("path", ["/v1/streams", "/", "/upload/big.txt", "/uploadFile"])
def test_the_limit_of_16_mib_is_only_for_vimeo(service: Service, path: str) -> None:
    big = bytes(17 * 1024**2)
    target = path.replace("big", str(random.randrange(10**12)))
    if path == "/uploadFile":
        answer = requests.post(service.url + target, files={"file": ("big.bin", big)}, timeout=60)
    else:
        answer = requests.post(service.url + target, data=big, timeout=60)
    assert answer.status_code in {200, 201}


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/vimeo/api/v1.0/file"), ("PUT", "/v1/streams"), ("POST", "/"), ("POST", "/upload/part.txt")],
)
def test_a_part_of_a_file_is_not_taken_for_the_whole(inprocess: Flask, method: str, path: str) -> None:
    part = {"Content-Range": "bytes 5-9/10"}  # as `curl -C 5 -T file` sends it
    answer = inprocess.test_client().open(path, method=method, data=b"56789", headers=part)
    assert (answer.status_code, "Content-Range is not supported" in answer.text) == (400, True)


def test_every_known_path_answers_options_with_allow(service: Service) -> None:
    for path in ("/", "/ping", "/v1/streams", "/upload", "/download", "/uploadFile", "/downloadFile"):
        answer = requests.options(service.url + path, timeout=60)
        assert answer.status_code == 200
        assert "OPTIONS" in answer.headers["Allow"]
