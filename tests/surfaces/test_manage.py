"""Manage URLs: an uploader follows a file and takes it back, in this process."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.inprocess import PROFILES, Clock, made, stored, sweep
from vimeo_api.core.deliveries import confirmations, losses
from vimeo_api.core.deliveries.lines import Sent, Ticket

CONTENT = bytes(200_000)
GONE = {
    "error": "Gone",
    "message": "The file is gone: it has been downloaded, or its time is over.",
}


@pytest.fixture(params=PROFILES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    with made(request.param, tmp_path / "data") as app:
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def put(client: FlaskClient, **fields: str) -> dict[str, Any]:
    form = {"file": (io.BytesIO(CONTENT), "report.xls"), **fields}
    answer = client.put("/vimeo/api/v1.0/file", data=form)
    assert answer.status_code == 201
    return dict(answer.get_json())


def fetched(app: Flask, link: str, *, whole: bool = True) -> None:
    """Download a file or its beginning; behind nginx, whose part this is, that is reported as its journal would."""
    with app.test_client().get(link, buffered=False) as answer:
        assert answer.status_code == 200
        pieces = answer.iter_encoded()
        if "X-Ticket" not in answer.headers:
            assert b"".join(pieces) == CONTENT if whole else next(pieces)
    if "X-Ticket" in answer.headers:
        report(app, answer.headers["X-Ticket"], len(CONTENT) if whole else 65_536)


def report(app: Flask, ticket: str, sent: int) -> None:
    found = Ticket.parse(ticket)
    assert found is not None
    with app.app_context():
        confirmations.handle(Sent(found, (0, sent), complete=sent == len(CONTENT)))


def test_an_upload_says_when_it_expires_and_how_to_follow_it(client: FlaskClient) -> None:
    new = put(client, expires_in="60", downloads="1")
    assert list(new) == ["status", "url", "manage_url", "size", "downloads", "expires_at"]
    assert (new["size"], new["downloads"]) == (200_000, 1)
    assert put(client)["expires_at"] is None
    seen = client.get(new["manage_url"])
    assert seen.headers["Cache-Control"] == "no-store"
    said = seen.get_json()
    assert (said["state"], said["name"], said["expires_at"]) == ("waiting", "report.xls", new["expires_at"])
    assert (said["downloads_left"], said["attempts"]) == (1, [])


def test_it_shows_each_attempt_and_when_the_file_was_downloaded(app: Flask, client: FlaskClient) -> None:
    new = put(client)
    fetched(app, new["url"], whole=False)
    said = client.get(new["manage_url"]).get_json()
    assert (said["state"], [attempt["complete"] for attempt in said["attempts"]]) == ("waiting", [False])
    with client.get(new["url"], buffered=False) as running:
        assert running.status_code == 200
        assert client.get(new["manage_url"]).get_json()["state"] == "downloading"
        if "X-Ticket" in running.headers:
            report(app, running.headers["X-Ticket"], 1)
    fetched(app, new["url"])
    said = client.get(new["manage_url"]).get_json()
    assert (said["state"], said["downloads_left"]) == ("downloaded", 0)
    assert said["downloaded_at"] is not None
    last = said["attempts"][-1]
    assert (last["first_byte"], last["bytes"], last["complete"]) == (0, 200_000, True)
    again = client.delete(new["manage_url"])
    assert (again.status_code, again.get_json()["message"]) == (410, "The file is gone already: it was downloaded.")


def test_a_deleted_file_is_gone_at_once(app: Flask, client: FlaskClient) -> None:
    new = put(client)
    deleted = client.delete(new["manage_url"])
    assert (deleted.status_code, deleted.get_json()) == (200, {"state": "removed"})
    assert stored(app) == set()
    assert client.get(new["url"]).get_json() == GONE
    said = client.get(new["manage_url"]).get_json()
    assert (said["state"], said["removed_at"] is not None, said["downloaded_at"]) == ("removed", True, None)
    assert client.delete(new["manage_url"]).get_json()["message"] == "The file is gone already: it was removed."


def test_a_file_deleted_during_a_download_stays_deleted(app: Flask, client: FlaskClient) -> None:
    new = put(client)
    with client.get(new["url"], buffered=False) as running:
        assert client.delete(new["manage_url"]).status_code == 200
        assert app.test_client().get(new["url"]).status_code == 410
        if "X-Ticket" in running.headers:
            report(app, running.headers["X-Ticket"], len(CONTENT))
        else:
            assert running.data == CONTENT
    assert client.get(new["manage_url"]).get_json()["state"] == "removed"


def test_an_expired_file_says_so_before_and_after_the_sweep(app: Flask, client: FlaskClient, clock: Clock) -> None:
    new = put(client, expires_in="60")
    clock.forward(61)
    for _ in range(2):
        said = client.get(new["manage_url"]).get_json()
        assert (said["state"], said["expires_at"]) == ("expired", new["expires_at"])
        assert client.delete(new["manage_url"]).status_code == 410
        sweep(app)


def test_its_uploader_decides_about_a_file_in_doubt(
    app: Flask, client: FlaskClient, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [put(client), put(client)]
    refused = client.post(f"{files[0]['manage_url']}/release")
    assert (refused.status_code, refused.get_json()["message"]) == (409, "The file is not in doubt.")
    running = [app.test_client().get(new["url"], buffered=False) for new in files]
    clock.forward(3600)
    (tmp_path / "boot_id").write_text("another")
    monkeypatch.setattr(losses, "BOOT_ID", tmp_path / "boot_id")
    sweep(app)
    for new in files:
        assert client.get(new["manage_url"]).get_json()["state"] == "in doubt"
    assert client.post(f"{files[0]['manage_url']}/release").get_json()["state"] == "waiting"
    assert client.delete(files[1]["manage_url"]).status_code == 200
    assert client.get(files[1]["url"]).status_code == 410
    for answer in running:
        answer.close()


def test_files_of_named_and_transfer_are_deleted_by_it(app: Flask, client: FlaskClient) -> None:
    form = {"file": [(io.BytesIO(b"a"), "a.txt"), (io.BytesIO(b"b"), "b.txt")]}
    several = client.post("/upload", data=form).headers.getlist("X-Manage-Url")
    assert [client.get(url).get_json()["name"] for url in several] == ["a.txt", "b.txt"]
    raw = client.post("/upload/c.txt", data=b"c").headers["X-Manage-Url"]
    sent = client.post("/uploadFile", data={"file": (io.BytesIO(b"d"), "d.txt")}).headers["X-Manage-Url"]
    for url in (*several, raw, sent):
        said = client.get(url).get_json()
        assert (said["state"], "attempts" in said) == ("waiting", False)
        assert client.delete(url).status_code == 200
        assert client.get(url).status_code == 404
    assert stored(app) == set()
    assert client.get("/download").get_json() == []


def test_only_the_right_key_works(client: FlaskClient) -> None:
    new = put(client)
    link_key = new["url"].rsplit("/", 1)[1]
    for path in (f"/manage/{link_key}", "/manage/" + "0" * 32, "/manage/%ff", "/manage/a"):
        answer = client.get(path)
        assert (answer.status_code, answer.get_json()["error"]) == (404, "Not Found")
    assert client.post(new["manage_url"]).status_code == 405
    foreign = client.delete(new["manage_url"], headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert client.get(new["url"]).status_code == 200
