"""How bytes are appended: offsets, requests that break off or come too late, checksums."""

import base64
import hashlib
import random
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.surfaces.resumable.tus import (
    DATA,
    TUS,
    begin,
    left,
    offset_of,
    patch,
    row_of,
    served,
    stream_of,
)
from vimeo_api.core.resumable import adoption, parts, rows
from vimeo_api.core.storage.locks import WAIT_SECONDS
from vimeo_api.services import resumable
from vimeo_api.web.resumable import tus

BEHIND_NGINX = pytest.mark.parametrize("app", ["production"], indirect=True, scope="module")


@pytest.mark.parametrize("seed", range(3))
def test_it_resumes_where_it_was_interrupted(app: Flask, client: FlaskClient, seed: int) -> None:
    dice, url, offset = random.Random(seed), begin(client), 0
    while offset < len(DATA):
        cut = dice.randint(0, len(DATA) // 4)
        last = patch(client, url, offset, DATA[offset:], cut=cut if offset + cut < len(DATA) else None)
        offset = min(len(DATA), offset + cut)
        assert offset_of(client, url) == offset  # no received byte is lost
    assert served(app, f"/v1/streams/{stream_of(last)}") == DATA
    assert left(app) == set()


def test_a_browser_that_repeats_a_request_by_itself_learns_what_came_of_the_first(client: FlaskClient) -> None:
    url = begin(client)
    patch(client, url, 0, DATA, cut=1000)
    again = patch(client, url, 0, DATA)
    assert (again.status_code, again.headers["Upload-Offset"]) == (409, "1000")


@BEHIND_NGINX
def test_it_keeps_what_came_when_the_service_was_killed(app: Flask, client: FlaskClient) -> None:
    url = begin(client)
    patch(client, url, 0, DATA, killed=True)
    last = client.head(url)
    assert last.headers["Upload-Offset"] == str(len(DATA))
    assert served(app, f"/v1/streams/{stream_of(last)}") == DATA


CHECKSUMS = {  # the algorithm, and the header
    **{f"tus {name}": (name, f"Upload-Checksum: {name} {{}}") for name in tus.ALGORITHMS},
    "RFC 9530": ("sha512", "Content-Digest: sha-512=:{}:"),
    "RFC 1864": ("md5", "Content-MD5: {}"),
}


@pytest.mark.parametrize("kind", CHECKSUMS)
def test_a_body_counts_only_with_its_checksum(app: Flask, client: FlaskClient, kind: str) -> None:
    algorithm, header = CHECKSUMS[kind]

    def checksum(data: bytes) -> dict[str, str]:
        digest = hashlib.new(algorithm, data, usedforsecurity=False).digest()
        name, _, value = header.format(base64.b64encode(digest).decode()).partition(": ")
        return {name: value}

    url = begin(client)
    assert patch(client, url, 0, DATA[:1000], headers=checksum(DATA[:1000])).status_code == 204
    assert patch(client, url, 1000, DATA[1000:], headers=checksum(DATA)).status_code == 460
    assert offset_of(client, url) == 1000
    patch(client, url, 1000, DATA[1000:], cut=5000, headers=checksum(DATA[1000:]))
    assert offset_of(client, url) == 1000  # nobody can check the part that came
    last = patch(client, url, 1000, DATA[1000:], headers=checksum(DATA[1000:]))
    assert served(app, f"/v1/streams/{stream_of(last)}") == DATA
    assert left(app) == set()


@BEHIND_NGINX
def test_nobody_waits_for_a_request_that_sent_nothing(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "SETTLE_SECONDS", 0.3)
    url = begin(client)
    patch(client, url, 0, DATA, cut=0)
    client.head(url)
    assert row_of(client, url).writer is None


@BEHIND_NGINX
def test_a_request_that_lost_its_place_appends_nothing(app: Flask, client: FlaskClient) -> None:
    url = begin(client)
    front: Any = app.wsgi_app
    environ = {"X_REQUEST_ID": "0" * 32, "X_BODY_FILE": front.keep(DATA[:9000])}
    with app.app_context():
        upload = rows.find(url.rpartition("/")[2])
        assert upload is not None
        assert rows.claim(upload, "0" * 32, length=upload.length, closed=True)
    assert patch(client, url, 0, DATA[:1000]).status_code == 204  # the client is back before nginx knows
    front.note(environ)
    assert offset_of(client, url) == 1000
    assert left(app) == set()


@pytest.mark.parametrize("app", ["embedded"], indirect=True, scope="module")
def test_a_look_at_a_request_that_is_about_to_begin_does_not_end_it(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, lock, looks = begin(client), parts.locked, iter([True])

    def look_first(key: str, *, seconds: float = WAIT_SECONDS) -> AbstractContextManager[None]:
        if next(looks, False):
            assert offset_of(app.test_client(), url) == 0
        return lock(key, seconds=seconds)

    monkeypatch.setattr(parts, "locked", look_first)
    assert patch(client, url, 0, DATA).status_code == 204


@BEHIND_NGINX
def test_a_line_that_is_read_again_removes_no_new_body(app: Flask, client: FlaskClient) -> None:
    front: Any = app.wsgi_app
    body = Path(front.keep(b"of a later request"))
    line = {"ticket": f"upload:{'0' * 32}", "body": str(body), "time": "1000"}
    with app.app_context():
        adoption.handle([line, line | {"body": "/etc/passwd"}, line | {"body": f"{body.parent}/../x"}, {}])
    assert body.read_bytes() == b"of a later request"
    body.unlink()


def test_it_refuses_what_does_not_fit(app: Flask, client: FlaskClient) -> None:
    url = begin(client)
    wrong = patch(client, url, 5, DATA[5:])
    assert (wrong.status_code, wrong.headers["Upload-Offset"]) == (409, "0")
    assert patch(client, url, 0, DATA + b"x").status_code == 413
    assert patch(client, url, 0, b"", headers={"Content-Type": "text/plain"}).status_code == 415
    assert patch(client, url, 0, b"", headers={"Upload-Checksum": "crc32 AAAA"}).status_code == 400
    assert client.patch(url, headers={"Content-Type": tus.MEDIA_TYPE}).status_code == 412
    for elsewhere in (client.post(url, headers=TUS), client.patch("/uploads/streams", data=b"x", headers=TUS)):
        assert (elsewhere.status_code, "error" in (elsewhere.json or {})) == (405, True)
    assert patch(client, f"/uploads/vimeo/{url[-32:]}", 0, DATA).status_code == 404
    assert patch(client, f"/uploads/streams/{'0' * 32}", 0, DATA).status_code == 404
    assert (offset_of(client, url), left(app)) == (0, set())
