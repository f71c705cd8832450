"""Receipts: an uploader's URL learns what became of a file; in this process, with a real receiver on real sockets."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from standardwebhooks import Webhook
from werkzeug.test import TestResponse

from tests.commands.running import refused
from tests.inprocess import PROFILES, Clock, made, sweep
from tests.receiver import Receiver, listening, verify
from tests.services import ROOT, Service, await_
from tests.surfaces.test_manage import fetched
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Receipt, ReceiptState, Upload
from vimeo_api.core.fetching import ssrf
from vimeo_api.core.receipts import job, outbox
from vimeo_api.service_commands.receipts import receipts as operator

SECRETS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
CONTENT = bytes(200_000)
FILE = "/vimeo/api/v1.0/file"
DAY = 86_400


@pytest.fixture(params=PROFILES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    with made(request.param, tmp_path / "data", NOTIFY_SECRETS=",".join(SECRETS)) as app:
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as receiver:
        yield receiver


def put(client: FlaskClient, **fields: str) -> TestResponse:
    return client.put(FILE, data={"file": (io.BytesIO(CONTENT), "report.xls"), **fields})


def uploaded(client: FlaskClient, receiver: Receiver, **fields: str) -> dict[str, Any]:
    answer = put(client, notify=receiver.url, **fields)
    assert answer.status_code == 201
    said = answer.get_json()
    return {**said, "id": client.get(said["manage_url"]).get_json()["id"]}


def receipts(client: FlaskClient, new: dict[str, Any]) -> list[dict[str, Any]]:
    return list(client.get(new["manage_url"]).get_json()["receipts"])


def urls(app: Flask) -> set[str | None]:
    """Return every URL that the database keeps."""
    with app.app_context():
        found = [statements.rows(select(column)) for column in (File.notify_url, Receipt.url, Upload.notify_url)]
    return {row[0] for rows in found for row in rows} - {None, ""}


def failing_until_given_up(app: Flask, client: FlaskClient, receiver: Receiver, clock: Clock) -> list[float]:
    """Remove a file, and let every attempt to report it fail; return the pauses between them, in seconds."""
    new = uploaded(client, receiver)
    client.delete(new["manage_url"])
    receiver.statuses = [500] * 99
    pauses = []
    sweep(app)
    while (next_try := receipts(client, new)[0]["next_try_at"]) is not None:
        pauses.append((datetime.fromisoformat(next_try) - clock.now(UTC)).total_seconds() + 1)
        clock.forward(pauses[-1])
        sweep(app)
    return pauses


def test_it_says_that_a_file_was_downloaded_and_used_up(app: Flask, client: FlaskClient, receiver: Receiver) -> None:
    new = uploaded(client, receiver, password="sesame")
    fetched(app, f"{new['url']}?password=sesame", whole=False)
    sweep(app)
    assert receiver.got == []
    fetched(app, f"{new['url']}?password=sesame")
    sweep(app)
    sweep(app)
    assert receiver.events() == ["file.downloaded", "file.used_up"]
    for got in receiver.got:
        assert got.path == "/hook?key=hush"
        assert got.headers["content-type"] == "application/json"
        data = {"id": new["id"], "name": "report.xls", "size": 200_000, "downloads_left": 0}
        assert got.said["data"] == data
        assert got.said["timestamp"] == client.get(new["manage_url"]).get_json()["downloaded_at"]
        assert new["url"].rpartition("/")[2] not in got.body.decode()
    assert len({got.message_id for got in receiver.got}) == 2
    said = receipts(client, new)
    assert [(one["event"], one["state"], one["attempts"]) for one in said] == [
        ("file.downloaded", "delivered", 1),
        ("file.used_up", "delivered", 1),
    ]
    assert urls(app) == set()
    page = client.get(new["manage_url"], headers={"Accept": "text/html"}).text
    assert "used up, delivered" in page


def test_it_says_each_download_of_a_file_for_several(app: Flask, client: FlaskClient, receiver: Receiver) -> None:
    new = uploaded(client, receiver, downloads="4")
    fetched(app, new["url"])
    sweep(app)
    for _ in range(2):
        fetched(app, new["url"])
    fetched(app, new["url"], whole=False)
    sweep(app)
    sweep(app)
    fetched(app, new["url"])
    sweep(app)
    assert receiver.events() == ["file.downloaded"] * 4 + ["file.used_up"]
    assert [got.said["data"]["downloads_left"] for got in receiver.got] == [3, 2, 1, 0, 0]
    moments = [got.said["timestamp"] for got in receiver.got]
    assert moments == sorted(moments)
    assert urls(app) == set()


def test_a_file_for_several_downloads_can_be_removed_or_unwanted_before(
    app: Flask, client: FlaskClient, receiver: Receiver
) -> None:
    removed, unwanted = uploaded(client, receiver, downloads="3"), uploaded(client, receiver, downloads="3")
    fetched(app, removed["url"])
    client.delete(removed["manage_url"])
    sweep(app)
    assert sorted(receiver.events()) == ["file.downloaded", "file.removed"]
    receiver.statuses = [410]
    for _ in range(2):
        fetched(app, unwanted["url"])
        sweep(app)
    assert len(receiver.got) == 3
    assert urls(app) == set()


def test_every_secret_signs(app: Flask, client: FlaskClient, receiver: Receiver) -> None:
    client.delete(uploaded(client, receiver)["manage_url"])
    sweep(app)
    for secret in SECRETS:
        verify(secret, receiver.got[0])
    other = "whsec_" + "A" * 32
    with pytest.raises(Exception, match="No matching signature"):
        verify(other, receiver.got[0])


def test_it_signs_as_the_specification_does(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    # The example in the test suite of Standard Webhooks.
    monkeypatch.setattr(job, "now", lambda: datetime.fromtimestamp(1_614_265_330, UTC))
    with app.app_context():
        headers = job.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", '{"test": 2432232314}')
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"].split()[0] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_it_says_that_a_file_was_removed_or_has_expired(
    app: Flask, client: FlaskClient, receiver: Receiver, clock: Clock
) -> None:
    removed, expired = uploaded(client, receiver), uploaded(client, receiver, expires_in="60")
    client.delete(removed["manage_url"])
    clock.forward(61)
    sweep(app)
    assert {(got.said["type"], got.said["data"]["id"]) for got in receiver.got} == {
        ("file.removed", removed["id"]),
        ("file.expired", expired["id"]),
    }
    assert receiver.got[-1].said["timestamp"] <= expired["expires_at"] or receiver.events()[-1] == "file.removed"


def test_it_tries_again_for_a_day_under_the_same_id(
    app: Flask, client: FlaskClient, receiver: Receiver, clock: Clock
) -> None:
    pauses = failing_until_given_up(app, client, receiver, clock)
    assert pauses == sorted(pauses)
    assert 0.8 * DAY < sum(pauses) < 1.1 * DAY
    assert len(receiver.got) == len(outbox.PAUSES) + 1
    assert len({(got.message_id, got.body) for got in receiver.got}) == 1
    timestamps = [got.timestamp for got in receiver.got]
    assert timestamps == sorted(set(timestamps))
    with app.app_context():
        (failed,) = outbox.listing(ReceiptState.FAILED)
        assert (failed.state, failed.error, failed.attempts) == ("failed", "127.0.0.1 answers 500.", 9)
    metrics = client.get("/metrics").text
    for line in ('receipts_total{outcome="failed"} 1.0', "receipt_tries_failed_total 9.0", "receipts_waiting 0.0"):
        assert f"vimeo_api_{line}" in metrics


def test_a_receiver_that_comes_back_is_told(app: Flask, client: FlaskClient, receiver: Receiver, clock: Clock) -> None:
    new = uploaded(client, receiver)
    client.delete(new["manage_url"])
    receiver.statuses = [503, 302, 400]
    receiver.location = receiver.url.replace("/hook", "/elsewhere")
    for _ in range(4):
        sweep(app)
        clock.forward(7200)
    assert {got.path for got in receiver.got} == {"/hook?key=hush"}  # no redirect was followed
    (said,) = receipts(client, new)
    assert (said["state"], said["attempts"], said["error"]) == ("delivered", 4, None)


def test_410_ends_it(app: Flask, client: FlaskClient, receiver: Receiver, clock: Clock) -> None:
    new = uploaded(client, receiver)
    fetched(app, new["url"])
    receiver.statuses = [410]
    sweep(app)
    clock.forward(2 * DAY)
    sweep(app)
    assert len(receiver.got) == 1
    assert [one["state"] for one in receipts(client, new)] == ["unwanted", "unwanted"]
    assert urls(app) == set()


def test_a_receiver_that_hangs_keeps_nobody_waiting(
    app: Flask, client: FlaskClient, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "SECONDS", 0.2)
    hanging = [uploaded(client, receiver) for _ in range(3)]
    receiver.statuses = [0]
    for new in hanging:
        client.delete(new["manage_url"])
    sweep(app)
    assert len(receiver.got) == 1  # the others are left alone for a while
    states = [one for new in hanging for one in receipts(client, new)]
    assert sorted(str(one["error"]) for one in states) == ["127.0.0.1 does not answer in time.", "None", "None"]
    clock.forward(120)
    sweep(app)
    assert {one["state"] for new in hanging for one in receipts(client, new)} == {"delivered"}


def test_a_worker_killed_before_it_records_it_sends_it_twice(
    app: Flask, client: FlaskClient, receiver: Receiver, clock: Clock
) -> None:
    client.delete(uploaded(client, receiver)["manage_url"])
    with app.app_context():
        outbox.note()
    receiver.statuses = [0]
    run = "from vimeo_api.app import create_app; from vimeo_api.core.receipts import job; app = create_app()\n"
    run += "with app.app_context(): job.run(seconds=60)"
    environ = {**os.environ, "DATA_DIR": str(app.config["SETTINGS"].data_dir), "NOTIFY_SECRETS": SECRETS[0]}
    with subprocess.Popen([sys.executable, "-c", run], cwd=ROOT, env=environ) as worker:
        await_(lambda: len(receiver.got) == 1)
        worker.send_signal(signal.SIGKILL)
    sweep(app)
    assert len(receiver.got) == 1  # it may still be at work
    clock.forward(outbox.CLAIM.total_seconds() + 1)
    sweep(app)
    assert len({got.message_id for got in receiver.got}) == 1
    assert len(receiver.got) == 2


def test_a_crash_while_receipts_are_noted_doubles_none(
    app: Flask, client: FlaskClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched(app, uploaded(client, receiver)["url"])
    execute = statements.execute
    with monkeypatch.context() as crashing, app.app_context():
        crashing.setattr(statements, "execute", lambda *given: (execute(*given), 1 / 0))
        with pytest.raises(ZeroDivisionError):
            outbox.note()
    sweep(app)
    assert receiver.events() == ["file.downloaded", "file.used_up"]


def test_only_one_worker_takes_a_receipt(app: Flask, client: FlaskClient, receiver: Receiver) -> None:
    client.delete(uploaded(client, receiver)["manage_url"])
    with app.app_context():
        outbox.note()
        assert [outbox.take() is None for _ in range(2)] == [False, True]


def test_a_worker_that_was_given_up_changes_nothing(
    app: Flask, client: FlaskClient, receiver: Receiver, clock: Clock
) -> None:
    client.delete(uploaded(client, receiver)["manage_url"])
    with app.app_context():
        outbox.note()
        slow = outbox.take()
        clock.forward(outbox.CLAIM.total_seconds() + 1)
        other = outbox.take()
        assert slow is not None
        assert other is not None
        outbox.delivered(other)
        outbox.failed(slow, "late")
        assert [row.error for row in outbox.listing(ReceiptState.DELIVERED)] == [None]


def test_its_address_is_checked_again_at_each_try(
    app: Flask, client: FlaskClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = receiver.url.replace("127.0.0.1", "hooks.example")
    new = dict(put(client, notify=url).get_json())
    client.delete(new["manage_url"])
    lookup = [(2, 1, 6, "", ("169.254.169.254", 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_args, **_options: lookup)
    sweep(app)
    assert receiver.got == []
    (said,) = receipts(client, new)
    assert "hooks.example is or leads to a link-local address" in said["error"]


@pytest.mark.parametrize(
    ("notify", "sentence"),
    [
        ("ftp://example.org/", "Only http and https"),
        ("https://user:secret@example.org/", "a user name or a password"),
        ("http://169.254.169.254/", "a link-local address"),
        ("http://example.org:25/", "Port 25"),
        ("https://example.org/" + "a" * ssrf.MAX_URL, "longer than"),
        ("\x00", "control character"),
    ],
)
def test_an_upload_with_an_impossible_url_is_refused(app: Flask, notify: str, sentence: str) -> None:
    answer = put(app.test_client(), notify=notify)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "Bad Request")
    assert answer.get_json()["message"].startswith("notify cannot be used. ")
    assert sentence in answer.get_json()["message"]


def test_settings_turn_receipts_off_and_keep_private_addresses_out(tmp_path: Path) -> None:
    with made("embedded", tmp_path / "off", NOTIFY_URLS="0") as app:
        assert put(app.test_client(), notify="https://example.org/").status_code == 400
        assert put(app.test_client()).status_code == 201
        assert "receipts" not in app.test_client().get("/share").text
    with made("embedded", tmp_path / "public", FETCH_ALLOW_PRIVATE="0") as app:
        assert "receipts" in app.test_client().get("/share").text
        assert "a loopback address" in put(app.test_client(), notify="http://127.0.0.1/").get_json()["message"]


def test_a_resumable_upload_names_it_too(app: Flask, client: FlaskClient, receiver: Receiver) -> None:
    headers = {"Upload-Complete": "?1", "Content-Disposition": 'attachment; filename="a.txt"'}
    begun = client.post("/uploads/vimeo", query_string={"notify": receiver.url}, data=CONTENT, headers=headers)
    assert begun.status_code == 201
    fetched(app, begun.get_json()["url"])
    sweep(app)
    assert receiver.events() == ["file.downloaded", "file.used_up"]
    assert urls(app) == set()
    refusal = client.post("/uploads/vimeo", query_string={"notify": "ftp://x/"}, data=b"", headers=headers)
    assert refusal.status_code == 400


def test_an_operator_sends_it_again(app: Flask, client: FlaskClient, receiver: Receiver, clock: Clock) -> None:
    failing_until_given_up(app, client, receiver, clock)
    (line,) = run(app, "list", "--json").stdout.splitlines()
    assert (json.loads(line)["state"], json.loads(line)["host"]) == ("failed", "127.0.0.1")
    assert "failed\t9\t-\t127.0.0.1" in run(app, "list", "--state", "failed").stdout
    assert run(app, "resend", "1").stdout == "1 receipt will be sent\n"
    receiver.statuses, receiver.got = [], []
    sweep(app)
    assert receiver.events() == ["file.removed"]
    refused(run(app, "resend", "1"), "no receipt that could be sent again")
    assert run(app, "secret").stdout.split() == list(SECRETS)


def test_the_url_of_one_that_failed_is_forgotten_after_a_week(
    app: Flask, client: FlaskClient, receiver: Receiver, clock: Clock
) -> None:
    failing_until_given_up(app, client, receiver, clock)
    assert urls(app) == {receiver.url}
    clock.forward(outbox.KEPT.total_seconds())
    sweep(app)
    assert urls(app) == set()


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    found = set()
    for _ in range(2):
        with made("production", tmp_path / "data") as app:
            found.update(app.extensions["notify_secrets"])
    (secret,) = found
    assert Webhook(secret).sign("msg_1", datetime.now(UTC), "{}").startswith("v1,")
    assert (tmp_path / "data/notify.secret").stat().st_mode & 0o777 == 0o600


def run(app: Flask, *words: str) -> Result:
    return app.test_cli_runner().invoke(operator, words)


def test_a_real_worker_sends_it(fetcher: Service, receiver: Receiver) -> None:
    files, fields = {"file": ("report.xls", b"numbers")}, {"notify": receiver.url}
    new = requests.put(fetcher.vimeo, files=files, data=fields, timeout=60).json()
    assert requests.get(new["url"], timeout=60).content == b"numbers"
    await_(lambda: sorted(receiver.events()) == ["file.downloaded", "file.used_up"], 60)
    secret = (fetcher.data / "notify.secret").read_text()
    for got in receiver.got:
        verify(secret, got)
    await_(lambda: states(new) == ["delivered", "delivered"])


def states(new: dict[str, Any]) -> list[str]:
    return [one["state"] for one in requests.get(new["manage_url"], timeout=60).json()["receipts"]]
