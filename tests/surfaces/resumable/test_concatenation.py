"""How partial uploads are joined, whatever is killed meanwhile."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from tests.front import fronted
from tests.inprocess import PROFILES, stored, sweep
from tests.surfaces.resumable.tus import ANSWERS, DATA, TUS, begin, described, left, offset_of, patch, served, stream_of
from vimeo_api.core.access import api_tokens
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.resumable import expiry, joining, parts, rows
from vimeo_api.core.storage.writer import Writer
from vimeo_api.service_commands.uploads import uploads as command
from vimeo_api.services import concatenation


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
def test_a_join_that_was_killed_resumes_after_its_durable_bytes(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, *, lost: bool
) -> None:
    _, concat = joinable(client)
    monkeypatch.setattr(parts, "JOIN_CHECKPOINT", 100_000)
    copied, copy = [], Writer.copy

    def killed(writer: Writer, source: int, size: int, *, at: int, start: int) -> None:
        if at == 190_000:
            raise KeyboardInterrupt
        copy(writer, source, size, at=at, start=start)

    def watched(writer: Writer, source: int, size: int, *, at: int, start: int) -> None:
        copied.append((at, size))
        copy(writer, source, size, at=at, start=start)

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "copy", killed)
        with pytest.raises(KeyboardInterrupt):
            client.post("/uploads/streams", headers=concat)
    with app.app_context():
        (key,) = rows.to_join(2)
        assert parts.path(key).stat().st_size == len(DATA), "only the row says how many of these bytes are there"
        if lost:
            os.truncate(parts.path(key), 180_000)
    with monkeypatch.context() as patched:
        patched.setattr(Writer, "copy", watched)
        sweep(app)
    assert copied == ([(0, 90_000), (90_000, 100_000)] if lost else []) + [(190_000, 100_000), (290_000, 10_000)]
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
    monkeypatch.setattr(concatenation, "JOIN_SECONDS", 0.1)
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
    monkeypatch.setattr(concatenation, "JOIN_SECONDS", 0.1)
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
        patched.setattr(concatenation, "MAX_REPEATED", 179_999)
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
