"""One-time files that can be downloaded several times, in this process."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.inprocess import PROFILES, Clock, made, sweep
from tests.surfaces.test_manage import CONTENT, fetched, put, report
from vimeo_api.core.deliveries import confirmations, losses
from vimeo_api.core.deliveries.lines import Sent, Ticket
from vimeo_api.service_commands.attempts import attempts
from vimeo_api.service_commands.doubts import doubts

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(params=PROFILES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    with made(request.param, tmp_path / "data", VIMEO_BUDGET="2") as app:
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def managed(client: FlaskClient, new: dict[str, Any]) -> dict[str, Any]:
    return dict(client.get(new["manage_url"]).get_json())


def test_it_is_gone_after_its_last_download(app: Flask, client: FlaskClient) -> None:
    new = put(client, downloads="2")
    assert (new["downloads"], managed(client, new)["downloads_left"]) == (2, 2)
    fetched(app, new["url"])
    assert "It can be downloaded once" in client.get(new["url"], headers=BROWSER).text
    fetched(app, new["url"], whole=False)
    said = managed(client, new)
    assert (said["state"], said["downloads_left"]) == ("waiting", 1)
    fetched(app, new["url"])
    said = managed(client, new)
    assert (said["state"], said["downloads_left"]) == ("downloaded", 0)
    assert [(one["slot"], one["complete"]) for one in said["attempts"]] == [(1, True), (2, False), (2, True)]
    assert client.get(new["url"]).status_code == 410
    sweep(app)


def test_ranges_that_cover_the_file_use_one_slot_up(app: Flask, client: FlaskClient) -> None:
    new = put(client, downloads="2")
    for first, last in ((0, 99), (100, len(CONTENT) - 1)):
        with client.get(new["url"], headers={"Range": f"bytes={first}-{last}"}) as answer:
            list(answer.iter_encoded())
            ticket = Ticket.parse(answer.headers.get("X-Ticket", ""))
        if ticket is not None:
            with app.app_context():
                confirmations.handle(Sent(ticket, (first, last + 1), complete=True))
    said = managed(client, new)
    assert (said["downloads_left"], [one["slot"] for one in said["attempts"]]) == (1, [1, 1])


def beside_each_other(app: Flask, client: FlaskClient, downloads: int) -> tuple[str, str, str]:
    """Begin the last download of a file twice under one token; return the link and the tickets of both responses."""
    link = put(client, downloads=str(downloads))["url"]
    for _ in range(downloads - 1):
        fetched(app, link)
    first = client.get(link)
    second = client.get(link, headers={"X-Download-Grant": first.headers["X-Download-Grant"]})
    return link, first.headers["X-Ticket"], second.headers["X-Ticket"]


@pytest.mark.parametrize("app", ["production"], indirect=True)
@pytest.mark.parametrize("downloads", [1, 2])
def test_a_client_gives_nothing_back_while_another_of_its_responses_runs(
    app: Flask, client: FlaskClient, downloads: int
) -> None:
    link, first, second = beside_each_other(app, client, downloads)
    report(app, second, 0)  # hung up
    assert client.get(link).status_code == 423
    report(app, first, len(CONTENT))
    assert client.get(link).status_code == 410


@pytest.mark.parametrize("app", ["production"], indirect=True)
@pytest.mark.parametrize("downloads", [1, 2])
def test_a_file_is_free_once_the_last_of_several_responses_is_interrupted(
    app: Flask, client: FlaskClient, downloads: int
) -> None:
    link, first, second = beside_each_other(app, client, downloads)
    report(app, second, 0)
    report(app, first, 0)
    fetched(app, link)
    assert client.get(link).status_code == 410


@pytest.mark.parametrize("app", ["production"], indirect=True)
@pytest.mark.parametrize("released", [True, False], ids=["release", "remove"])
def test_a_slot_is_in_doubt_when_its_report_may_be_lost(
    app: Flask, client: FlaskClient, clock: Clock, *, released: bool
) -> None:
    new = put(client, downloads="2")
    fetched(app, new["url"])
    assert "X-Ticket" in client.get(new["url"]).headers
    with app.app_context():
        losses.note("a test")
    clock.forward(3600)
    sweep(app)
    assert client.get(new["url"]).status_code == 423
    said = managed(client, new)
    assert (said["state"], said["downloads_left"]) == ("in doubt", 1)
    runner = app.test_cli_runner()
    file_id = runner.invoke(doubts, []).output.split()[0]
    assert "of 4" in runner.invoke(attempts, [new["url"]]).output
    assert runner.invoke(doubts, ["release" if released else "remove", file_id]).exit_code == 0
    if not released:
        assert client.get(new["url"]).status_code == 410
        return
    fetched(app, new["url"])
    assert client.get(new["url"]).status_code == 410


def test_a_resumable_upload_says_how_often_it_can_be_downloaded(client: FlaskClient) -> None:
    meta = ",".join(
        f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in {"filename": "a.txt", "downloads": "3"}.items()
    )
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": "1",
        "Upload-Metadata": meta,
        "Content-Type": "application/offset+octet-stream",
    }
    answer = client.post("/uploads/vimeo", headers={**headers, "Upload-Length": "0"})
    assert answer.status_code == 201, answer.text
    assert client.get(answer.headers["Location"]).get_json()["downloads"] == 3
    refused = client.post(
        "/uploads/vimeo",
        headers={**headers, "Upload-Metadata": f"downloads {base64.b64encode(b'0').decode()}"},
    )
    assert (refused.status_code, refused.get_json()) == (400, {"error": "downloads must be a number from 1 to 10000."})


def test_bytes_leave_no_more_often_than_the_budget_of_all_downloads(app: Flask, client: FlaskClient) -> None:
    new = put(client, downloads="2")
    for _ in range(4):
        fetched(app, new["url"], whole=False)
    spent = client.get(new["url"])
    assert spent.status_code == 410, "2 × 2 times"


@pytest.mark.parametrize("downloads", ["0", "-1", "10001", "x", "1.5", "٣"])
def test_it_refuses_other_numbers(client: FlaskClient, downloads: str) -> None:
    answer = client.put("/vimeo/api/v1.0/file", data={"file": (io.BytesIO(CONTENT), "a.txt"), "downloads": downloads})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "Bad Request")
