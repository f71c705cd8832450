"""Resumable uploads in both profiles: whatever breaks off, the file is the one that was sent."""

import base64
import hashlib
import json
import os
import random
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.front import fronted
from tests.inprocess import PROFILES, Clock, stored, sweep
from tests.surfaces.tus import DATA, TUS, begin, described, left, offset_of, patch, row_of, served, stream_of
from vimeo_api.core.access import api_tokens
from vimeo_api.core.errors import StorageFull, Unavailable
from vimeo_api.core.storage.writer import Writer
from vimeo_api.core.unfinished import adoption, expiry, joining, parts, rows
from vimeo_api.service_commands.uploads import uploads as command
from vimeo_api.services import resumable
from vimeo_api.web.resumable import tus

BEHIND_NGINX = pytest.mark.parametrize("app", ["production"], indirect=True, scope="module")


@pytest.fixture(params=PROFILES, scope="module")
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with fronted(request.param, tmp_path_factory.mktemp("resumable") / "data", VIMEO_MAX_BYTES="1MiB") as app:
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


ANSWERS = {
    "vimeo": (
        {"filename": "one.bin", "expires_in": "600"},
        201,
        '"status": "File Uploaded Successfully", "url": "http',
    ),
    "streams": ({"filename": "x", "queue": "q"}, 201, '"status":"created"'),
    "store": ({}, 200, hashlib.sha256(DATA).hexdigest()),
    "named": ({"filename": "report.pdf"}, 201, "report.pdf uploaded"),
    "transfer": ({"filename": "any.thing"}, 200, '"file_id":"'),
}


@pytest.mark.parametrize("surface", ANSWERS)
def test_it_answers_at_the_end_what_the_surface_answers(app: Flask, client: FlaskClient, surface: str) -> None:
    metadata, status, said = ANSWERS[surface]
    before = stored(app)
    url = begin(client, surface, headers=described(**metadata))
    assert patch(client, url, 0, DATA[:100]).headers["Upload-Offset"] == "100"
    assert client.get(url).status_code == 204
    last = patch(client, url, 100, DATA[100:])
    assert (last.status_code, last.headers["Upload-Offset"]) == (204, str(len(DATA)))
    answer = client.get(url)
    assert answer.status_code == status
    assert said in unquote(last.headers["Upload-Result"]) == answer.text.rstrip("\n")
    assert [path.read_bytes() for path in stored(app) - before] == [DATA]
    assert left(app) == set()
    if surface in {"named", "transfer"}:
        assert last.headers["X-Manage-Url"] == answer.headers["X-Manage-Url"]
        assert client.get(answer.headers["X-Manage-Url"]).get_json()["name"] == metadata["filename"]
    else:
        assert "X-Manage-Url" not in answer.headers


@pytest.mark.parametrize("seed", range(3))
def test_it_goes_on_where_it_broke_off(app: Flask, client: FlaskClient, seed: int) -> None:
    dice, url, offset = random.Random(seed), begin(client), 0
    while offset < len(DATA):
        cut = dice.randint(0, len(DATA) // 4)
        last = patch(client, url, offset, DATA[offset:], cut=cut if offset + cut < len(DATA) else None)
        offset = min(len(DATA), offset + cut)
        assert offset_of(client, url) == offset  # no byte that came is lost
    assert served(app, f"/v1/streams/{stream_of(last)}") == DATA
    assert left(app) == set()


def test_a_browser_that_repeats_a_request_by_itself_is_told_what_came_of_the_first(client: FlaskClient) -> None:
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


def test_it_stores_one_file_however_often_the_end_is_tried(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stored(app)
    url = begin(client, "vimeo", headers=described(filename="one"))

    def broken(*_: object, **__: object) -> None:
        raise Unavailable("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(rows, "finish", broken)
        assert patch(client, url, 0, DATA).status_code == 503
        assert client.head(url).status_code == 503
    assert offset_of(client, url) == len(DATA)
    assert len(stored(app) - before) == 1
    answer: dict[str, str] = json.loads(client.get(url).text)
    assert answer["url"].startswith("http://localhost/vimeo/")
    assert client.get(answer["manage_url"]).get_json()["state"] == "waiting"


def test_it_publishes_again_what_an_attempt_left_without_a_row(app: Flask, client: FlaskClient) -> None:
    url = begin(client)
    key = url.rpartition("/")[2]
    orphan = app.config["SETTINGS"].store_dir / "streams" / key[:2] / key
    orphan.parent.mkdir(parents=True, exist_ok=True)
    orphan.write_bytes(b"half")
    assert served(app, f"/v1/streams/{stream_of(patch(client, url, 0, DATA))}") == DATA


def test_it_takes_the_first_bytes_with_the_creation(app: Flask, client: FlaskClient) -> None:
    headers = {**TUS, "Upload-Length": str(len(DATA)), "Content-Type": tus.MEDIA_TYPE}
    begun = client.post("/uploads/streams", data=DATA[:1000], headers=headers)
    assert (begun.status_code, begun.headers["Upload-Offset"]) == (201, "1000")
    whole = client.post("/uploads/streams", data=DATA, headers=headers)
    assert (whole.status_code, whole.headers["Upload-Offset"]) == (201, str(len(DATA)))
    assert served(app, f"/v1/streams/{stream_of(whole)}") == DATA
    empty = client.post("/uploads/streams", headers={**TUS, "Upload-Length": "0"})
    assert served(app, f"/v1/streams/{stream_of(empty)}") == b""


@pytest.mark.parametrize("algorithm", tus.ALGORITHMS)
def test_a_body_counts_only_with_its_checksum(app: Flask, client: FlaskClient, algorithm: str) -> None:
    def checksum(data: bytes) -> dict[str, str]:
        digest = hashlib.new(algorithm, data, usedforsecurity=False).digest()
        return {"Upload-Checksum": f"{algorithm} {base64.b64encode(digest).decode()}"}

    url = begin(client)
    assert patch(client, url, 0, DATA[:1000], headers=checksum(DATA[:1000])).status_code == 204
    assert patch(client, url, 1000, DATA[1000:], headers=checksum(DATA)).status_code == 460
    assert offset_of(client, url) == 1000
    patch(client, url, 1000, DATA[1000:], cut=5000, headers=checksum(DATA[1000:]))
    assert offset_of(client, url) == 1000  # nobody can check the part that came
    last = patch(client, url, 1000, DATA[1000:], headers=checksum(DATA[1000:]))
    assert served(app, f"/v1/streams/{stream_of(last)}") == DATA
    assert left(app) == set()


def test_it_joins_parts_that_came_in_parallel(app: Flask, client: FlaskClient) -> None:
    urls = []
    for start, stop in ((0, 90_000), (90_000, 90_000), (90_000, 300_000)):
        url = begin(client, length=stop - start, headers={"Upload-Concat": "partial"})
        assert patch(client, url, 0, DATA[start:stop]).status_code == 204
        assert client.head(url).headers["Upload-Concat"] == "partial"
        urls.append(f"http://elsewhere{url}" if start else url)
    concat = {"Upload-Concat": f"final;{' '.join(urls)}", **described(filename="joined.pdf")}
    final = client.post("/uploads/named", headers={**TUS, **concat})
    assert final.status_code == 400  # those are of another surface
    final = client.post("/uploads/streams", headers={**TUS, **concat})
    assert final.status_code == 201
    assert served(app, f"/v1/streams/{stream_of(final)}") == DATA
    url = final.headers["Location"]
    state = client.head(url).headers
    assert (state["Upload-Offset"], state["Upload-Length"]) == (str(len(DATA)),) * 2
    assert state["Upload-Concat"] == concat["Upload-Concat"]
    assert patch(client, url, len(DATA), b"").status_code == 403
    assert client.head(urls[0]).status_code == 404
    assert left(app) == set()


def joinable(
    client: FlaskClient, surface: str = "streams", headers: dict[str, str] | None = None
) -> tuple[list[str], dict[str, str]]:
    """Upload two parts; return their URLs and the headers that join them."""
    urls, sent = [], headers or {}
    for piece in (DATA[:90_000], DATA[90_000:]):
        urls.append(begin(client, surface, length=len(piece), headers={"Upload-Concat": "partial", **sent}))
        assert patch(client, urls[-1], 0, piece, headers=sent).status_code == 204
    return urls, {**TUS, "Upload-Concat": f"final;{' '.join(urls)}"}


def test_it_answers_a_repeated_join_as_the_first(app: Flask, client: FlaskClient) -> None:
    _, concat = joinable(client)
    first, second = (client.post("/uploads/streams", headers=concat) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert {**first.headers, "X-Request-Id": ""} == {**second.headers, "X-Request-Id": ""}
    client.delete(first.headers["Location"], headers=TUS)
    assert client.post("/uploads/streams", headers=concat).status_code == 404
    assert left(app) == set()


@pytest.mark.parametrize("step", ["join", "add", "remove"])
def test_a_join_that_was_killed_is_finished_by_the_next_request(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    urls, concat = joinable(client)
    module = {"join": parts, "add": rows, "remove": expiry}[step]
    real = getattr(module, step)

    def killed(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        raise KeyboardInterrupt  # after the step; nothing that follows it happens

    with monkeypatch.context() as patched:
        patched.setattr(module, step, killed)
        with pytest.raises(KeyboardInterrupt):
            client.post("/uploads/streams", headers=concat)
    final = client.post("/uploads/streams", headers=concat)
    assert (final.status_code, served(app, f"/v1/streams/{stream_of(final)}")) == (201, DATA)
    assert [client.head(url, headers=TUS).status_code for url in urls] == [404, 404]
    assert left(app) == set()


@pytest.mark.parametrize("step", ["join", "note_joined", "note_file", "remove"])
def test_a_join_that_was_killed_is_finished_by_the_sweep(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    urls, concat = joinable(client)
    module = {"join": parts, "remove": expiry}.get(step, rows)
    real = getattr(module, step)

    def killed(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, step, killed)
        with pytest.raises(KeyboardInterrupt):
            client.post("/uploads/streams", headers=concat)
    before = stored(app)
    sweep(app)
    assert [client.head(url, headers=TUS).status_code for url in urls] == [404, 404]
    assert left(app) == set()
    assert len(stored(app) - before) == (step in {"join", "note_joined"})  # by the sweep, and once
    final = client.post("/uploads/streams", headers=concat)
    assert (final.status_code, served(app, f"/v1/streams/{stream_of(final)}")) == (201, DATA)


@pytest.mark.parametrize("lost", [False, True], ids=["durable", "lost"])
def test_a_join_that_was_killed_goes_on_after_what_it_has_made_durable(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, *, lost: bool
) -> None:
    _, concat = joinable(client)
    monkeypatch.setattr(parts, "CHECKPOINT", 1)
    copied, copy = [], Writer.copy

    def killed(writer: Writer, source: int, size: int, *, at: int = 0) -> None:
        if at:
            raise KeyboardInterrupt
        copy(writer, source, size, at=at)

    def watched(writer: Writer, source: int, size: int, *, at: int = 0) -> None:
        copied.append((at, size))
        copy(writer, source, size, at=at)

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "copy", killed)
        with pytest.raises(KeyboardInterrupt):
            client.post("/uploads/streams", headers=concat)
    with app.app_context():
        (key,) = rows.to_join(2)
        assert parts.path(key).stat().st_size == len(DATA), "only the row says how many of these bytes are there"
        if lost:
            os.truncate(parts.path(key), 80_000)
    with monkeypatch.context() as patched:
        patched.setattr(Writer, "copy", watched)
        sweep(app)
    assert copied == ([(0, 90_000)] if lost else []) + [(90_000, 210_000)]
    final = client.post("/uploads/streams", headers=concat)
    assert served(app, f"/v1/streams/{stream_of(final)}") == DATA
    assert left(app) == set()


@pytest.mark.parametrize("surface", ANSWERS)
def test_workers_join_what_is_large_while_the_client_waits(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, surface: str
) -> None:
    monkeypatch.setattr(joining, "SMALL", 1000)
    metadata, _, said = ANSWERS[surface]
    if surface == "named":
        metadata, said = {"filename": "joined.pdf"}, "joined.pdf uploaded"
    _, concat = joinable(client, surface)
    final = client.post(f"/uploads/{surface}", headers={**concat, **described(**metadata)})
    assert (final.status_code, said in unquote(final.headers["Upload-Result"])) == (201, True)
    assert final.headers["Upload-Offset"] == str(len(DATA))
    assert ("X-Manage-Url" in final.headers) == (surface in {"named", "transfer"})
    assert left(app) == set()


def test_a_client_need_not_wait_until_its_upload_is_joined(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "SMALL", 1000)
    monkeypatch.setattr(resumable, "JOIN_SECONDS", 0.1)
    urls, concat = joinable(client)
    with monkeypatch.context() as patched:
        patched.setattr(joining, "run", lambda _key: None)  # the worker has not come to it yet
        final = client.post("/uploads/streams", headers=concat)
        assert (final.status_code, {"Upload-Offset", "Upload-Result"} & set(final.headers.keys())) == (201, set())
        state = client.head(final.headers["Location"], headers=TUS)
        assert (state.status_code, "Upload-Offset" in state.headers) == (204, False)
        assert (state.headers["Upload-Length"], state.headers["Upload-Concat"]) == ("300000", concat["Upload-Concat"])
        assert [offset_of(client, url) for url in urls] == [90_000, 210_000]
        with app.app_context():
            listed = CliRunner().invoke(command, ["list"], obj=None).output
        assert [line for line in listed.splitlines() if line.endswith("\tjoining")]
    sweep(app)
    assert client.head(final.headers["Location"], headers=TUS).headers["Upload-Offset"] == "300000"
    answer = client.get(final.headers["Location"], headers=TUS)
    assert answer.status_code == 201
    assert served(app, f"/v1/streams/{json.loads(answer.text)['id']}") == DATA


def test_a_client_that_has_gone_learns_later_why_its_upload_was_not_joined(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "SMALL", 1000)
    monkeypatch.setattr(resumable, "JOIN_SECONDS", 0.1)
    _, concat = joinable(client, "named")
    concat |= described(filename="gone.pdf")
    with monkeypatch.context() as patched:
        patched.setattr(joining, "run", lambda _key: None)
        url = client.post("/uploads/named", headers=concat).headers["Location"]
    assert client.post("/upload/gone.pdf", data=b"first").status_code == 201
    sweep(app)
    assert [client.open(url, method=method, headers=TUS).status_code for method in ("HEAD", "GET")] == [409, 409]
    assert client.post("/uploads/named", headers=concat).status_code == 409
    other = {**concat, **described(filename="free.pdf")}
    assert client.post("/uploads/named", headers=other).status_code == 201  # the parts are still there
    assert left(app) == set()


def test_a_part_may_be_joined_more_than_once_but_not_to_fill_the_disk(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, second), _ = joinable(client)
    concat = {**TUS, "Upload-Concat": f"final;{first} {second} {first} {first}"}
    with monkeypatch.context() as patched:
        patched.setattr(resumable, "MAX_REPEATED", 179_999)
        assert client.post("/uploads/streams", headers=concat).status_code == 413
    final = client.post("/uploads/streams", headers=concat)
    assert served(app, f"/v1/streams/{stream_of(final)}") == DATA + 2 * DATA[:90_000]
    assert left(app) == set()


def test_a_join_tells_of_a_full_disk_and_can_be_tried_again(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, concat = joinable(client)

    def full(*_: object, **__: object) -> None:
        raise StorageFull("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(parts, "join", full)
        assert client.post("/uploads/streams", headers=concat).status_code == 507
    final = client.post("/uploads/streams", headers=concat)
    assert served(app, f"/v1/streams/{stream_of(final)}") == DATA
    assert left(app) == set()


def test_a_join_tells_of_a_part_that_is_gone(app: Flask, client: FlaskClient) -> None:
    urls, concat = joinable(client)
    with app.app_context():
        parts.path(urls[0].rpartition("/")[2]).unlink()
    final = client.post("/uploads/streams", headers=concat)
    assert (final.status_code, final.json) == (404, {"error": joining.GONE})
    assert left(app) == set()


def test_it_refuses_to_join_what_is_not_complete(client: FlaskClient) -> None:
    url = begin(client, headers={"Upload-Concat": "partial"})
    final = client.post("/uploads/streams", headers={**TUS, "Upload-Concat": f"final;{url}"})
    assert (final.status_code, offset_of(client, url)) == (400, 0)
    assert left(client.application) == set()


def test_it_learns_the_length_later(app: Flask, client: FlaskClient) -> None:
    url = begin(client, length=None, headers={"Upload-Defer-Length": "1"})
    assert client.head(url).headers["Upload-Defer-Length"] == "1"
    assert patch(client, url, 0, DATA[:1000]).status_code == 204
    patch(client, url, 1000, DATA[1000:], cut=10, headers={"Upload-Length": str(len(DATA))})
    assert client.head(url).headers["Upload-Length"] == str(len(DATA))
    assert patch(client, url, 1010, DATA[1010:], headers={"Upload-Length": "5000"}).status_code == 400
    last = patch(client, url, 1010, DATA[1010:])
    assert served(app, f"/v1/streams/{stream_of(last)}") == DATA


def test_it_gives_up_what_nobody_continues(app: Flask, client: FlaskClient, clock: Clock) -> None:
    url = begin(client)
    patch(client, url, 0, DATA, cut=1000)
    assert offset_of(client, url) == 1000
    clock.forward(86_000)
    assert patch(client, url, 1000, DATA[1000:2000]).status_code == 204  # which prolongs it
    clock.forward(86_000)
    assert offset_of(client, url) == 2000
    clock.forward(500)
    assert client.head(url).status_code == 404
    sweep(app)
    assert left(app) == set()


def test_it_ends_when_the_client_says_so(app: Flask, client: FlaskClient) -> None:
    url = begin(client)
    patch(client, url, 0, DATA, cut=1000)
    assert client.delete(url, headers=TUS).status_code == 204
    assert client.head(url).status_code == client.delete(url).status_code == 404
    assert left(app) == set()


@BEHIND_NGINX
def test_nobody_waits_for_a_request_of_which_nothing_came(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
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

    def look_first(key: str, *, seconds: float = parts.WAIT_SECONDS) -> AbstractContextManager[None]:
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


def test_a_password_protects_the_file_and_is_not_repeated(app: Flask, client: FlaskClient) -> None:
    url = begin(client, "vimeo", headers=described(filename="secret.txt", password="geheim"))
    assert client.head(url).headers["Upload-Metadata"] == described(filename="secret.txt")["Upload-Metadata"]
    patch(client, url, 0, DATA)
    link = client.get(url).json["url"]  # type: ignore[index]
    assert client.get(link).status_code == 401
    assert served(app, link, **{"X-File-Password": "geheim"}) == DATA


def test_a_name_that_was_taken_meanwhile_ends_the_upload(app: Flask, client: FlaskClient) -> None:
    url = begin(client, "named", headers=described(filename="taken.pdf"))
    assert client.post("/upload/taken.pdf", data=b"first").status_code == 201
    last = patch(client, url, 0, DATA)
    assert (last.status_code, last.json) == (409, {"error": "taken.pdf exists"})
    assert client.head(url).status_code == 404
    assert left(app) == set()


REFUSED = {
    "another version": ({"Tus-Resumable": "0.2.2", "Upload-Length": "5"}, "streams", 412),
    "no length": ({}, "streams", 400),
    "a length that is none": ({"Upload-Length": "-1"}, "streams", 400),
    "two lengths": ({"Upload-Length": "5", "Upload-Defer-Length": "1"}, "streams", 400),
    "a deferred length that is not 1": ({"Upload-Defer-Length": "2"}, "streams", 400),
    "more than the surface takes": ({"Upload-Length": "2000000", **described(filename="x")}, "vimeo", 413),
    "an extension that is not allowed": ({"Upload-Length": "5", **described(filename="x.exe")}, "named", 400),
    "no name where one is needed": ({"Upload-Length": "5"}, "named", 400),
    "a field that may be a misspelt password": ({"Upload-Length": "5", **described(pasword="x")}, "vimeo", 400),
    "metadata that is not base64": ({"Upload-Length": "5", "Upload-Metadata": "filename ~"}, "streams", 400),
    "metadata twice": ({"Upload-Length": "5", "Upload-Metadata": "a,a"}, "streams", 400),
    "a surface that is none": ({"Upload-Length": "5"}, "docs", 404),
    "an unknown kind of parts": ({"Upload-Length": "5", "Upload-Concat": "whole"}, "streams", 400),
    "parts of nothing": ({"Upload-Concat": "final;"}, "streams", 400),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses_to_begin(client: FlaskClient, case: str) -> None:
    headers, surface, status = REFUSED[case]
    response = client.post(f"/uploads/{surface}", headers={**TUS, **headers})
    assert response.status_code == status
    assert response.json is not None
    if status == 412:
        assert response.headers["Tus-Version"] == "1.0.0"


def test_it_refuses_what_does_not_fit(app: Flask, client: FlaskClient) -> None:
    url = begin(client)
    wrong = patch(client, url, 5, DATA[5:])
    assert (wrong.status_code, wrong.headers["Upload-Offset"]) == (409, "0")
    assert patch(client, url, 0, DATA + b"x").status_code == 413
    assert patch(client, url, 0, b"", headers={"Content-Type": "text/plain"}).status_code == 415
    assert patch(client, url, 0, b"", headers={"Upload-Checksum": "crc32 AAAA"}).status_code == 400
    assert client.patch(url, headers={"Content-Type": tus.MEDIA_TYPE}).status_code == 412
    assert client.post(url, headers=TUS).status_code == 405
    assert patch(client, f"/uploads/vimeo/{url[-32:]}", 0, DATA).status_code == 404
    assert patch(client, f"/uploads/streams/{'0' * 32}", 0, DATA).status_code == 404
    assert (offset_of(client, url), left(app)) == (0, set())


# Section of the document, and what of every response it wants.
MUSTS: dict[str, Callable[[dict[str, TestResponse]], bool]] = {
    "Headers, Tus-Resumable: in every response but those to OPTIONS": lambda r: (
        r["head"].headers["Tus-Resumable"]
        == r["begun"].headers["Tus-Resumable"]
        == r["patched"].headers["Tus-Resumable"]
        == r["missing"].headers["Tus-Resumable"]
        == r["other method"].headers["Tus-Resumable"]
        == r["no path"].headers["Tus-Resumable"]
        == "1.0.0"
    ),
    "Requests, HEAD: Upload-Offset, also of 0": lambda r: r["head"].headers["Upload-Offset"] == "0",
    "Requests, HEAD: Upload-Length": lambda r: r["head"].headers["Upload-Length"] == "300000",
    "Requests, HEAD: Cache-Control: no-store": lambda r: r["head"].headers["Cache-Control"] == "no-store",
    "Requests, HEAD: no Upload-Offset of what is not there": lambda r: (
        r["missing"].status_code == 404 and "Upload-Offset" not in r["missing"].headers
    ),
    "Requests, PATCH: 204 with the new offset": lambda r: (
        (r["patched"].status_code, r["patched"].headers["Upload-Offset"]) == (204, "10")
    ),
    "Requests, HEAD: Upload-Metadata and Upload-Defer-Length as they were sent": lambda r: (
        (r["deferred"].headers["Upload-Defer-Length"], r["deferred"].headers["Upload-Metadata"])
        == ("1", "filename eA==")
    ),
    "Requests, PATCH: 415 for another media type": lambda r: r["other type"].status_code == 415,
    "Requests, PATCH: 409 for another offset": lambda r: r["other offset"].status_code == 409,
    "Requests, PATCH: 404 for what is not there": lambda r: r["patched nowhere"].status_code == 404,
    "Headers, Tus-Resumable: 412 with Tus-Version for another one": lambda r: (
        (r["other version"].status_code, r["other version"].headers["Tus-Version"]) == (412, "1.0.0")
    ),
    "Headers, Tus-Resumable: no request in another version is processed": lambda r: (
        {r["head in 0.2.2"].status_code, r["delete in 0.2.2"].status_code} == {412}
        and r["delete in 0.2.2"].headers["Tus-Version"] == "1.0.0"
        and "Upload-Offset" not in r["head in 0.2.2"].headers
        and r["head"].status_code == 204
    ),
    "Headers, Upload-Offset: not negative": lambda r: r["negative"].status_code == 400,
    "Headers, Tus-Extension: nothing but names between commas": lambda r: (
        re.fullmatch(r"[a-z-]+(,[a-z-]+)*", r["options"].headers["Tus-Extension"]) is not None
    ),
    "Headers, X-HTTP-Method-Override: HEAD by POST": lambda r: (
        (r["looked at"].status_code, r["looked at"].headers["Upload-Offset"]) == (204, "20")
    ),
    "Requests, HEAD: Upload-Offset and Upload-Length of what is complete": lambda r: (
        (r["complete"].headers["Upload-Offset"], r["complete"].headers["Upload-Length"]) == ("10", "10")
    ),
    "Creation: the keys of Upload-Metadata are unique": lambda r: r["twice"].status_code == 400,
    "Creation: the value of a key may be left out": lambda r: (
        (r["valueless"].status_code, r["valueless head"].headers["Upload-Metadata"])
        == (201, "filename eA==,relativePath")
    ),
    "Checksum: 400 for a digest that is not base64, and the offset stays": lambda r: (
        (r["odd checksum"].status_code, r["after that"].headers["Upload-Offset"]) == (400, "20")
    ),
    "Concatenation: a part of which bytes are missing is not joined": lambda r: r["joined early"].status_code == 400,
    "Requests, PATCH: another offset changes nothing": lambda r: r["after that"].headers["Upload-Offset"] == "20",
    "Requests, OPTIONS: Tus-Version": lambda r: r["options"].headers["Tus-Version"] == "1.0.0",
    "Requests, OPTIONS: whatever Tus-Resumable says": lambda r: r["options"].status_code == 200,
    "Tus-Extension: all but trailers": lambda r: (
        set(r["options"].headers["Tus-Extension"].split(","))
        == {
            "creation",
            "creation-with-upload",
            "creation-defer-length",
            "expiration",
            "checksum",
            "termination",
            "concatenation",
        }
    ),
    "Tus-Max-Size: of the surface": lambda r: r["options"].headers["Tus-Max-Size"] == str(1024**2),
    "Creation: 201 with Location": lambda r: r["begun"].status_code == 201 and "/uploads/vimeo/" in r["begun"].location,
    "Creation: an empty file is complete at once": lambda r: (
        r["empty"].headers["Upload-Offset"] == "0" and "Upload-Result" in r["empty"].headers
    ),
    "Creation: a length that was deferred does not change": lambda r: r["length changed"].status_code == 400,
    "Creation: 413 beyond Tus-Max-Size": lambda r: r["too large"].status_code == 413,
    "Creation: Upload-Defer-Length is 1 or not there": lambda r: r["deferred oddly"].status_code == 400,
    "Creation: no Upload-Defer-Length once the length is known": lambda r: (
        "Upload-Defer-Length" not in r["no longer deferred"].headers
        and r["no longer deferred"].headers["Upload-Length"] == "10"
    ),
    "Creation With Upload: 201 with Upload-Offset": lambda r: (
        (r["with upload"].status_code, r["with upload"].headers["Upload-Offset"]) == (201, "10")
    ),
    "Creation: HEAD repeats Upload-Metadata": lambda r: r["head"].headers["Upload-Metadata"] == "filename eA==",
    "Expiration: Upload-Expires in POST and PATCH": lambda r: all(
        r[one].headers["Upload-Expires"].endswith(" GMT") for one in ("begun", "patched")
    ),
    "Checksum: 460, and the offset stays": lambda r: (
        (r["other checksum"].status_code, r["after that"].headers["Upload-Offset"]) == (460, "20")
    ),
    "Checksum: a first body without its checksum begins no upload": lambda r: (
        r["begun with another checksum"].status_code == 460
        and "Location" not in r["begun with another checksum"].headers
    ),
    "Checksum: 400 for an algorithm that is not offered": lambda r: r["other algorithm"].status_code == 400,
    "Checksum: Tus-Checksum-Algorithm has sha1": lambda r: (
        "sha1" in r["options"].headers["Tus-Checksum-Algorithm"].split(",")
    ),
    "X-HTTP-Method-Override: PATCH by POST": lambda r: r["overridden"].headers["Upload-Offset"] == "20",
    "Termination: 204, then 404": lambda r: (r["ended"].status_code, r["gone"].status_code) == (204, 404),
    "Concatenation: 201, without Upload-Length in the request": lambda r: r["joined"].status_code == 201,
    "Concatenation: HEAD repeats Upload-Concat": lambda r: (
        r["part"].headers["Upload-Concat"] == "partial" and r["whole"].headers["Upload-Concat"].startswith("final;")
    ),
    "Concatenation: HEAD of a part has Upload-Offset": lambda r: r["part"].headers["Upload-Offset"] == "10",
    "Concatenation: HEAD of the whole has Upload-Length and Upload-Offset": lambda r: (
        r["whole"].headers["Upload-Length"] == r["whole"].headers["Upload-Offset"] == "20"
    ),
    "Concatenation: Upload-Metadata is that of the whole": lambda r: (
        r["whole"].headers["Upload-Metadata"] == "filename eQ=="
    ),
    "Concatenation: 403 for PATCH of the whole": lambda r: r["appended"].status_code == 403,
}


@pytest.fixture(scope="module")
def exchange(app: Flask) -> dict[str, TestResponse]:
    client = app.test_client()
    begun = client.post(
        "/uploads/vimeo", headers={**TUS, "Upload-Length": "300000", "Upload-Metadata": "filename eA=="}
    )
    url = begun.headers["Location"]
    sent = {**TUS, "Content-Type": tus.MEDIA_TYPE, "Upload-Offset": "10", "X-HTTP-Method-Override": "PATCH"}
    named = {"Upload-Metadata": "filename eA=="}
    deferred = begin(client, "vimeo", length=None, headers={"Upload-Defer-Length": "1", **named})
    sizes = {"too large": {"Upload-Length": str(2 * 1024**2)}, "deferred oddly": {"Upload-Defer-Length": "2"}}
    first = {"Content-Type": tus.MEDIA_TYPE, "Upload-Length": "300000", **named}
    parts = [begin(client, "vimeo", length=10, headers={"Upload-Concat": "partial", **named}) for _ in range(2)]
    for part in parts:
        patch(client, part, 0, DATA[:10])
    early = begin(client, "vimeo", length=10, headers={"Upload-Concat": "partial", **named})
    concat = {"Upload-Concat": f"final;{' '.join(parts)}", "Upload-Metadata": "filename eQ=="}
    return {
        **{case: client.post("/uploads/vimeo", headers={**TUS, **named, **size}) for case, size in sizes.items()},
        "twice": client.post(
            "/uploads/vimeo", headers={**TUS, "Upload-Length": "5", "Upload-Metadata": "filename eA==,filename eQ=="}
        ),
        "valueless": (
            valueless := client.post(
                "/uploads/vimeo", headers={**TUS, "Upload-Length": "5", "Upload-Metadata": "filename eA==,relativePath"}
            )
        ),
        "valueless head": client.head(valueless.headers["Location"], headers=TUS),
        "joined early": client.post("/uploads/vimeo", headers={**TUS, **named, "Upload-Concat": f"final;{early}"}),
        "with upload": client.post("/uploads/vimeo", data=DATA[:10], headers={**TUS, **first}),
        "deferred": client.head(deferred, headers=TUS),
        "length": patch(client, deferred, 0, DATA[:9], headers={"Upload-Length": "10"}),
        "no longer deferred": client.head(deferred, headers=TUS),
        "length changed": patch(client, deferred, 9, DATA[9:10], headers={"Upload-Length": "11"}),
        "rest": patch(client, deferred, 9, DATA[9:10]),
        "complete": client.head(deferred, headers=TUS),
        "empty": (empty := client.post("/uploads/vimeo", headers={**TUS, **named, "Upload-Length": "0"}))
        and client.head(empty.headers["Location"], headers=TUS),
        "begun with another checksum": client.post(
            "/uploads/vimeo", data=DATA[:10], headers={**TUS, **first, "Upload-Checksum": "sha1 AAAA"}
        ),
        "part": client.head(parts[0], headers=TUS),
        "joined": (joined := client.post("/uploads/vimeo", headers={**TUS, **concat})),
        "whole": client.head(joined.headers["Location"], headers=TUS),
        "appended": patch(client, joined.headers["Location"], 20, b"x"),
        "options": client.options("/uploads/vimeo", headers={"Tus-Resumable": "9"}),
        "begun": begun,
        "head in 0.2.2": client.head(url, headers={"Tus-Resumable": "0.2.2"}),
        "delete in 0.2.2": client.delete(url, headers={"Tus-Resumable": "0.2.2"}),
        "negative": patch(client, url, -1, DATA[:10]),
        "other method": client.put(url, headers=TUS),
        "no path": client.get("/uploads/vimeo/x/y", headers=TUS),
        "head": client.head(url, headers=TUS),
        "missing": client.head(f"/uploads/vimeo/{'f' * 32}", headers=TUS),
        "patched": patch(client, url, 0, DATA[:10]),
        "overridden": client.post(url, data=DATA[:10], headers=sent),
        "looked at": client.post(url, headers={**TUS, "X-HTTP-Method-Override": "HEAD"}),
        "other type": patch(client, url, 20, DATA[:10], headers={"Content-Type": "text/plain"}),
        "other offset": patch(client, url, 21, DATA[:10]),
        "other version": patch(client, url, 20, DATA[:10], headers={"Tus-Resumable": "0.2.2"}),
        "patched nowhere": patch(client, f"/uploads/vimeo/{'f' * 32}", 0, DATA[:10]),
        "other algorithm": patch(client, url, 20, DATA[:10], headers={"Upload-Checksum": "crc32 AAAA"}),
        "odd checksum": patch(client, url, 20, DATA[:10], headers={"Upload-Checksum": "sha1 !"}),
        "other checksum": patch(client, url, 20, DATA[:10], headers={"Upload-Checksum": "sha1 AAAA"}),
        "after that": client.head(url, headers=TUS),
        "ended": client.delete(url, headers=TUS),
        "gone": client.head(url, headers=TUS),
    }


@pytest.mark.parametrize("must", MUSTS)
def test_it_keeps_tus_1_0_0(exchange: dict[str, TestResponse], must: str) -> None:
    assert MUSTS[must](exchange)


def test_tokens_and_quotas_hold(tmp_path: Path) -> None:
    for profile in PROFILES:
        with fronted(profile, tmp_path / profile, REQUIRE_TOKENS="1", STREAMS_UPLOAD_LIMIT="3 per hour") as app:
            with app.app_context():
                token, other = (api_tokens.create(name, ["streams:write"], quota=400_000) for name in "ab")
            client = app.test_client()
            ours, theirs = ({"Authorization": f"Bearer {one}"} for one in (token, other))
            assert client.post("/uploads/streams", headers={**TUS, "Upload-Length": "5"}).status_code == 401
            assert client.post("/uploads/store", headers={**TUS, "Upload-Length": "5", **ours}).status_code == 403
            url = begin(client, headers=ours)
            assert client.head(url, headers=theirs).status_code == 404
            assert client.head(url).status_code == 401
            assert patch(client, url, 0, DATA[:9]).status_code == 401
            more = client.post("/uploads/streams", headers={**TUS, "Upload-Length": "200000", **ours})
            assert more.status_code == 403  # not beside the first, which has no byte yet
            assert patch(client, url, 0, DATA, headers=ours).status_code == 204
            begun = [client.post("/uploads/streams", headers={**TUS, "Upload-Length": "5", **ours}) for _ in range(3)]
            assert begun[-1].status_code == 429


def test_parts_and_what_is_joined_from_them_count_once_against_a_quota(tmp_path: Path) -> None:
    for profile in PROFILES:
        with fronted(profile, tmp_path / profile, REQUIRE_TOKENS="1") as app:
            with app.app_context():
                token = api_tokens.create("a", ["streams:write"], quota=500_000)
            client, ours = app.test_client(), {"Authorization": f"Bearer {token}"}
            urls, concat = joinable(client, headers=ours)  # of 60 % of the quota
            assert client.post("/uploads/streams", headers=TUS | ours | {"Upload-Length": "200001"}).status_code == 403
            assert client.post("/uploads/streams", headers=concat | ours).status_code == 201
            assert [client.head(url, headers=TUS | ours).status_code for url in urls] == [404, 404]
            assert client.post("/uploads/streams", headers=TUS | ours | {"Upload-Length": "200001"}).status_code == 403
            url = begin(client, length=200_000, headers=ours)
            assert patch(client, url, 0, DATA[:200_000], headers=ours).status_code == 204


def test_the_metrics_have_those_that_are_unfinished(app: Flask, client: FlaskClient) -> None:
    def figures() -> list[float]:
        names = ("resumable_uploads_open", "resumable_open_bytes")
        lines = client.get("/metrics").text.splitlines()
        starts = [f'vimeo_api_{name}{{surface="transfer"}} ' for name in names]
        return [float(line.removeprefix(start)) for start in starts for line in lines if line.startswith(start)]

    before = figures()
    url = begin(client, "transfer", headers=described(filename="counted.pdf"))
    patch(client, url, 0, DATA[:70])
    assert figures() == [before[0] + 1, before[1] + 70]
    patch(client, url, 70, DATA[70:])
    assert figures() == before


def test_the_operator_lists_and_ends_them(app: Flask, client: FlaskClient) -> None:
    url = begin(client, headers=described(filename="of the operator"))
    key = url.rpartition("/")[2]
    patch(client, url, 0, DATA[:10])
    with app.app_context():
        listed = CliRunner().invoke(command, ["list"], obj=None)
        assert f"{key}\tstreams\t10 of 300000 bytes" in listed.output
        assert CliRunner().invoke(command, ["end", key]).exit_code == 0
        assert CliRunner().invoke(command, ["end", key]).exit_code == 1
        assert not parts.path(key).exists()
    assert client.head(url).status_code == 404
