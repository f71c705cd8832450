"""The log of events: a line per request that did something, with who, what and how much, and no link. Both profiles."""

import io
import json
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from tests.inprocess import _made_once, inprocess, made
from vimeo_api import logs
from vimeo_api.core.access import api_tokens
from vimeo_api.core.fetching import claims
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import NewFile

__all__ = ["_made_once", "inprocess"]

LINE = {"time", "level", "logger", "message", "request_id", "action", "status", "address", "seconds"}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The lines of the log of events so far, as JSON; read anew at each use."""
    caplog.set_level(logging.INFO, "vimeo_api.events")
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(logs, "_event_line", logs._json_event)  # noqa: SLF001 -- `configure` would set it for all tests
    monkeypatch.setattr(logs, "write", lambda line: lines.append(json.loads(line)))
    return lines


def test_an_upload_a_download_and_a_removal_have_a_line_each(inprocess: Flask, said: list[dict[str, Any]]) -> None:
    client = inprocess.test_client()
    key = client.post("/v1/streams", data=b"abc").get_json()["id"]
    client.get(f"/v1/streams/{key}").close()
    client.delete(f"/v1/streams/{key}")
    client.delete(f"/v1/streams/{key}")
    assert [(line["action"], line["surface"], line.get("bytes"), line["status"]) for line in said] == [
        ("uploaded", "streams", 3, 201),
        ("download", "streams", 3, 200),
        ("deleted", "streams", 3, 200),
        ("refused", "streams", None, 404),
    ]
    assert len({line["file"] for line in said[:3]}) == 1
    assert all(line.keys() >= LINE and line["address"] == "127.0.0.1" for line in said)
    assert key not in json.dumps(said)


def test_a_form_of_two_files_has_two_lines(inprocess: Flask, said: list[dict[str, Any]]) -> None:
    files = [(io.BytesIO(b"a"), "events-a.txt"), (io.BytesIO(b"bc"), "events-b.txt")]
    inprocess.test_client().post("/upload", data={"file": files})
    assert sorted((line["action"], line["bytes"]) for line in said) == [("uploaded", 1), ("uploaded", 2)]
    assert len({line["file"] for line in said}) == 2


def test_a_one_time_file_that_is_used_up_is_said_so(inprocess: Flask, said: list[dict[str, Any]]) -> None:
    client = inprocess.test_client()
    form = {"file": (io.BytesIO(b"x"), "secret-name.txt"), "password": "sesame"}
    made = client.put("/vimeo/api/v1.0/file", data=form)
    assert made.status_code == 201, made.text
    link = made.get_json()["url"]
    assert client.get(f"{link}?password=wrong").status_code == 401
    with client.get(f"{link}?password=sesame") as answer:
        assert answer.data == (b"" if inprocess.config["SETTINGS"].behind_nginx else b"x")
    actions = [line["action"] for line in said]
    assert actions[:3] == ["uploaded", "refused", "download"]
    if not inprocess.config["SETTINGS"].behind_nginx:  # there the journal tells, later
        assert actions[3:] == ["used up"]
    for secret in ("sesame", "wrong", "secret-name", link.rpartition("/")[2]):
        assert secret not in json.dumps(said)


def test_a_fetch_that_is_cancelled_is_said_so(inprocess: Flask, said: list[dict[str, Any]]) -> None:
    with inprocess.app_context():
        catalog.add(NewFile("transfer", "1", blob="ab", name="a.txt", size=0, source_url="http://x/?signature=secret"))
        entry = catalog.find("transfer", "1")
        assert entry is not None
        claims.cancel(entry.id)
    assert [(line["action"], line.get("failure")) for line in said] == [
        ("fetch requested", None),
        ("fetch failed", "cancelled"),
    ]
    assert "signature" not in json.dumps(said)


def test_a_join_is_not_called_a_fetch(inprocess: Flask, said: list[dict[str, Any]]) -> None:
    client = inprocess.test_client()
    key = client.post("/v1/streams", data=b"abc").get_json()["id"]
    assert client.post("/v1/streams:join", json={"streams": [key, key]}).status_code in {201, 202}
    assert [line["action"] for line in said] == ["uploaded", "join requested", "joined"]
    assert said[-1]["bytes"] == 6


def test_tokens_are_named_from_their_creation_on(tmp_path: Any, said: list[dict[str, Any]]) -> None:
    with made("embedded", tmp_path / "data", REQUIRE_TOKENS="1") as app:
        with app.app_context():
            secret = api_tokens.create("robot", ["streams:*"])
        app.test_client().post("/v1/streams", data=b"abc", headers={"Authorization": f"Bearer {secret}"})
        with app.app_context():
            api_tokens.set_quota("robot", 10**6)
            api_tokens.rename("robot", "nightly")
            api_tokens.revoke("nightly")
    assert [(line["action"], line.get("name"), line.get("token")) for line in said] == [
        ("token created", "robot", None),
        ("uploaded", None, "robot"),
        ("token quota", "robot", None),
        ("token renamed", "robot", None),
        ("token revoked", "nightly", None),
    ]
    assert secret not in json.dumps(said)


def test_lines_of_several_threads_are_whole(capfd: pytest.CaptureFixture[str]) -> None:
    handler = logs._Stderr()  # noqa: SLF001 -- `configure` would replace the handlers of all tests
    records = [logging.makeLogRecord({"msg": str(number) * 300}) for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(handler.handle, records * 50))
    assert Counter(capfd.readouterr().err.splitlines()) == {record.msg: 50 for record in records}


def test_a_line_for_people_has_the_same(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vimeo_api.events")
    monkeypatch.setattr(logs, "_event_line", logs._text_event)  # noqa: SLF001 -- `configure` would set it for all tests
    logs.note("uploaded", surface="streams", file=7, bytes=3, queue=None, token="a b\nc")
    line = "INFO vimeo_api.events: action='uploaded' surface='streams' file=7 bytes=3 token='a b\\nc'\n"
    assert capfd.readouterr().err == line


def test_a_level_above_info_has_no_events(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "vimeo_api.events")
    logs.note("uploaded", surface="streams", file=7)
    assert capfd.readouterr().err == ""
