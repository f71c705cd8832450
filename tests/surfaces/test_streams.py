"""The surface `streams` as its clients see it: the document's transcripts, ranges, deletion and joins."""

import base64
import hashlib
import json
import random
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
import requests

from tests.inprocess import PROFILES, made, sweep
from tests.services import ROOT, Service, await_, free_port, running
from tests.surfaces.streams import create, url
from vimeo_api import tasks
from vimeo_api.core.clock import now
from vimeo_api.core.files import lifecycle
from vimeo_api.core.files.lifecycle import Move

MIB = 1024**2


def curl(*words: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of a curl command."""
    done = subprocess.run(["curl", "-sS", "-i", *words], capture_output=True, check=True)
    *_, head, body = re.split(rb"(?:^|(?<=\r\n\r\n))(?=HTTP/)", done.stdout)[-1].partition(b"\r\n\r\n")[0::2]
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:]), body


def test_it_answers_its_documents_transcripts(service: Service, tmp_path: Path) -> None:
    status, headers, body = curl("-d", "some data", f"{service.url}/v1/streams")
    assert status == 201
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["Content-Length"] == "65"
    key = json.loads(body)["id"]
    assert str(UUID(key, version=4)) == key
    assert body == f'{{"id":"{key}","status":"created"}}\n'.encode()

    testfile = tmp_path / "testfile"
    testfile.write_bytes(random.randbytes(5877))
    status, headers, body = curl("-T", str(testfile), "-H", "Expect: 100-continue", f"{service.url}/v1/streams")
    assert (status, headers["Content-Length"]) == (201, "65")
    assert requests.get(url(service, json.loads(body)["id"]), timeout=60).content == testfile.read_bytes()

    status, headers, body = curl(url(service, key))
    assert (status, body) == (200, b"some data")
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Content-Length"] == "9"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Last-Modified"].endswith(" GMT")

    status, headers, body = curl(url(service, "error-in-stream-id"))
    assert (status, body) == (404, b"404 page not found\n")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Length"] == "19"

    status, headers, body = curl("-X", "DELETE", url(service, key))
    assert (status, body) == (200, f'{{"id":"{key}","status":"deleted"}}\n'.encode())
    status, headers, body = curl("-X", "DELETE", url(service, key))
    assert (status, headers["Content-Length"]) == (404, "107")
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    expected = f'{{"error":{{"Op":"remove","Path":"DATA/{key}.data","Err":2}},"status":"error"}}\n'
    assert body == expected.encode()
    assert curl(url(service, key))[0] == 404
    assert curl(f"{service.url}/ping")[2] == b'{"message":"pong","status":"ok"}\n'


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "text/plain; charset=utf-8"),
        ("текст".encode(), "text/plain; charset=utf-8"),
        (b"\x89PNG\x0d\x0a\x1a\x0a....", "image/png"),
        (b"  <!DOCTYPE HTML>...", "text/html; charset=utf-8"),
        (b"%PDF-1.7", "application/pdf"),
        (b"\x00\x01\x02", "application/octet-stream"),
        (b"PK\x03\x04....", "application/zip"),
    ],
)
def test_it_sniffs_types_and_keeps_bodies_of_any_type_as_they_are(service: Service, content: bytes, kind: str) -> None:
    for sent in (
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json",
        "nonsense",
    ):
        key = create(service, content, headers={"Content-Type": sent})
        answer = requests.get(url(service, key), timeout=60)
        assert (answer.content, answer.headers["Content-Type"]) == (content, kind)
        # What could hold scripts is saved, and not shown.
        assert answer.headers.get("Content-Disposition") == ("attachment" if kind.startswith("text/html") else None)
        assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_it_takes_chunked_bodies(service: Service) -> None:
    pieces = [random.randbytes(random.randrange(1, 100_000)) for _ in range(30)]
    answer = requests.put(f"{service.url}/v1/streams", data=iter(pieces), timeout=60)
    assert requests.get(url(service, answer.json()["id"]), timeout=60).content == b"".join(pieces)


def test_it_answers_ranges_and_conditions(service: Service) -> None:
    key = create(service, b"0123456789")
    whole = requests.get(url(service, key), timeout=60)
    etag, modified = whole.headers["ETag"], whole.headers["Last-Modified"]

    def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.get(url(service, key), headers=named, timeout=60).status_code

    part = requests.get(url(service, key), headers={"Range": "bytes=-3"}, timeout=60)
    assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"789", "bytes 7-9/10")
    assert status(Range="bytes=10-") == 416
    assert status(If_None_Match=etag) == 304
    assert status(If_Modified_Since=modified) == 304
    assert status(Range="bytes=0-0", If_Range=etag) == 206
    assert status(Range="bytes=0-0", If_Range='"other"') == 200
    head = requests.head(url(service, key), timeout=60)
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "10", b"")


def test_a_short_body_leaves_nothing(service: Service) -> None:
    before = service.stored()
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(b"POST /v1/streams HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n123")
        client.shutdown(socket.SHUT_WR)
        answer = client.makefile("rb").read()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert service.stored() <= before  # others' files may be removed meanwhile
    await_(lambda: not service.spooled())


def test_many_write_and_read_at_once(service: Service) -> None:
    contents = [random.randbytes(random.randrange(1, 300_000)) for _ in range(24)]
    with ThreadPoolExecutor(48) as pool:
        keys = list(pool.map(lambda content: create(service, content), contents))
        assert len(set(keys)) == 24
        read = pool.map(lambda key: requests.get(url(service, key), timeout=60).content, keys * 2)
        assert list(read) == contents * 2


def test_deleting_does_not_stop_a_running_download(service: Service) -> None:
    content = random.randbytes(20 * MIB)
    key = create(service, content)
    with requests.get(url(service, key), stream=True, timeout=60) as download:
        taken = download.raw.read(1000)
        assert requests.delete(url(service, key), timeout=60).status_code == 200
        assert requests.get(url(service, key), timeout=60).status_code == 404
        assert taken + download.raw.read() == content


@pytest.mark.one_host
def test_deleting_frees_the_disk_at_once(service: Service) -> None:
    before = service.stored()
    key = create(service, b"x")
    assert len(service.stored() - before) == 1
    requests.delete(url(service, key), timeout=60)
    assert service.stored() <= before  # others' files may be removed meanwhile


def test_one_of_many_deletes_wins(service: Service) -> None:
    key = create(service, b"x")
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: requests.delete(url(service, key), timeout=60).status_code, range(10)))
    assert sorted(answers) == [200] + [404] * 9


@pytest.mark.slow
def test_two_embedded_instances_share_a_folder(tmp_path: Path) -> None:
    with running("embedded", tmp_path / "data") as one, running("embedded", tmp_path / "data") as other:
        key = create(one, b"shared")
        assert requests.get(url(other, key), timeout=60).content == b"shared"
        assert requests.delete(url(other, key), timeout=60).status_code == 200
        assert requests.get(url(one, key), timeout=60).status_code == 404


def test_it_accepts_the_flags_of_the_original(tmp_path: Path) -> None:
    port = free_port()
    options = ["--addr", f"127.0.0.1:{port}", "-d", "--path", "MINE"]
    with (tmp_path / "out").open("w") as out:
        command = [sys.executable, str(ROOT / "manage.py"), "runserver", *options]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=out)
        try:
            await_(lambda: " is ready on " in (tmp_path / "out").read_text(), 60)
            key = "20ef43f7-4bfd-4b86-9204-7c857a09a940"
            answer = requests.delete(f"http://127.0.0.1:{port}/v1/streams/{key}", timeout=60)
            assert answer.json()["error"]["Path"] == f"MINE/{key}.data"
            assert (tmp_path / "MINE/store").is_dir()
        finally:
            process.terminate()
            process.wait(60)


def test_streams_are_joined_in_the_given_order(service: Service) -> None:
    contents = [random.randbytes(size) for size in (0, 1, 9 * MIB + 17, 8 * MIB, 300)]
    keys = [create(service, content) for content in contents]
    answer = requests.post(f"{service.url}/v1/streams:join", json={"streams": [*keys, keys[1]]}, timeout=60)
    assert answer.status_code == 201, answer.text
    whole = b"".join([*contents, contents[1]])
    joined = requests.get(url(service, answer.json()["id"]), timeout=60)
    assert hashlib.sha256(joined.content).digest() == hashlib.sha256(whole).digest()
    digest = base64.b64encode(hashlib.sha256(whole).digest()).decode()
    assert joined.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert joined.headers["ETag"].endswith(f'-{len(whole):x}"')
    assert requests.get(url(service, keys[0]), timeout=60).status_code == 200
    missing = requests.post(f"{service.url}/v1/streams:join", json={"streams": [keys[0], "none"]}, timeout=60)
    assert missing.status_code == 404


@pytest.mark.parametrize("profile", PROFILES)
def test_a_join_that_lasts_can_be_followed_and_cancelled(
    profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(profile, tmp_path / "data", FETCH_WAIT_SECONDS="0") as app:
        client = app.test_client()
        keys = [client.post("/v1/streams", data=data).get_json()["id"] for data in (b"one ", b"two")]
        with monkeypatch.context() as patch:
            patch.setattr(tasks, "enqueue", lambda *_: True)
            done, cancelled = (client.post("/v1/streams:join", json={"streams": keys}) for _ in range(2))
        assert (done.status_code, done.location) == (202, done.get_json()["status_url"])
        stream = f"/v1/streams/{done.get_json()['id']}"
        assert client.get(stream).status_code == 425
        assert client.get(done.location).get_json()["state"] == "fetching"
        assert client.delete(cancelled.location).get_json()["failure"] == "cancelled"
        sweep(app)
        with app.app_context():
            lifecycle.advance_all(Move.WORK, due_at=now())
        sweep(app)
        assert client.get(done.location).get_json()["state"] == "available"
        assert client.get(stream).status_code == 200
        assert client.get(f"/v1/streams/{cancelled.get_json()['id']}").status_code == 410
        for key in ("none", keys[0]):
            assert client.get(f"/v1/joins/{key}").status_code == 404


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"streams": []}', b'{"streams": [1]}', b"\xff", b"[" * 100_000, b'{"streams": "x"}']
)
def test_an_invalid_join_is_refused(service: Service, body: bytes) -> None:
    answer = requests.post(f"{service.url}/v1/streams:join", data=body, timeout=60)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
