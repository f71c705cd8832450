"""How uploads end: as a file of their surface, by the client, by time."""

import json
from urllib.parse import unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.inprocess import Clock, stored, sweep
from tests.surfaces.resumable.tus import ANSWERS, DATA, TUS, begin, described, left, offset_of, patch, served, stream_of
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.resumable import rows


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


def test_it_gives_up_uploads_that_nobody_continues(app: Flask, client: FlaskClient, clock: Clock) -> None:
    url = begin(client)
    patch(client, url, 0, DATA, cut=1000)
    assert offset_of(client, url) == 1000
    clock.forward(86_000)
    assert patch(client, url, 1000, DATA[1000:2000]).status_code == 204  # which extends it
    clock.forward(86_000)
    assert offset_of(client, url) == 2000
    clock.forward(500)
    assert client.head(url).status_code == 404
    sweep(app)
    assert left(app) == set()


def test_a_client_can_end_it(app: Flask, client: FlaskClient) -> None:
    url = begin(client)
    patch(client, url, 0, DATA, cut=1000)
    assert client.delete(url, headers=TUS).status_code == 204
    assert client.head(url).status_code == client.delete(url).status_code == 404
    assert left(app) == set()


def test_a_name_that_was_taken_meanwhile_ends_the_upload(app: Flask, client: FlaskClient) -> None:
    url = begin(client, "named", headers=described(filename="taken.pdf"))
    assert client.post("/upload/taken.pdf", data=b"first").status_code == 201
    last = patch(client, url, 0, DATA)
    assert (last.status_code, last.json) == (409, {"error": "taken.pdf exists"})
    assert client.head(url).status_code == 404
    assert left(app) == set()
