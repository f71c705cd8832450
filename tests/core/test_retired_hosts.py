"""`manage.py hosts`: what a lost host leaves behind is listed by name, given up or in doubt."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from tests.hosts import two_hosts
from tests.inprocess import Clock
from vimeo_api.core import hosts as registry
from vimeo_api.core import identifiers
from vimeo_api.core.deliveries import confirmations
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.files import catalog, placing
from vimeo_api.core.resumable import rows
from vimeo_api.core.resumable.rows import NewUpload
from vimeo_api.service_commands.hosts import hosts

TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": "100"}


@pytest.fixture
def fleet(tmp_path: Path, clock: Clock) -> Iterator[tuple[Flask, Flask]]:
    """Two hosts, of which `b` sweeps a minute after `a` has died."""
    with two_hosts(tmp_path) as (a, b):
        yield a, b


def link(app: Flask, name: str, **fields: str) -> str:
    """Return the path of a new one-time file."""
    form = {"file": (io.BytesIO(b"content"), name), **fields}
    said: dict[str, Any] = app.test_client().put("/vimeo/api/v1.0/file", data=form).json or {}
    return re.sub("^https?://[^/]+", "", said["url"])


def placed(app: Flask, number: int) -> None:
    with app.app_context():
        placing.run(number)


def status(app: Flask, path: str) -> int:
    return app.test_client().get(path).status_code


def run(app: Flask, *words: str) -> Result:
    return app.test_cli_runner().invoke(hosts, words)


def test_hosts_are_listed_with_what_they_have_not_placed(fleet: tuple[Flask, Flask], clock: Clock) -> None:
    a, b = fleet
    link(a, "a.txt")
    clock.forward(90)
    with b.app_context():
        confirmations.read_journal()
        confirmations.end_lapsed()
    first, second = (line.split("\t") for line in run(b).stdout.splitlines())
    assert (first[0], *first[3:5]) == ("a", "1 pending", "7 bytes")
    assert re.fullmatch("seen 9[01] s ago", first[1])
    assert first[2] == "journal read never"
    assert (second[0], second[1], *second[3:5]) == ("b", "seen 0 s ago", "0 pending", "0 bytes")


def test_a_host_that_is_alive_or_unknown_is_not_retired(fleet: tuple[Flask, Flask], clock: Clock) -> None:
    a, b = fleet
    assert "a is alive" in run(b, "retire", "a").output
    clock.forward(90)
    assert "There is no host c." in run(b, "retire", "c").output
    assert "This is the host itself." in run(a, "retire", "a").output


def test_a_file_that_a_retired_host_has_joined_is_answered_by_another(fleet: tuple[Flask, Flask], clock: Clock) -> None:
    a, b = fleet
    digest = a.test_client().post("/", data=b"content").text
    key = "1" * 32
    with a.app_context():
        placing.run(1)
        rows.add(NewUpload(key, "store", 7, closed=True))
        rows.note_joined(key, 7)
        rows.note_file(key, digest)  # as its worker did; the client has not asked since
    clock.forward(90)
    assert run(b, "retire", "a").stdout.endswith("uploads ended: 0\n")
    answer = b.test_client().get(f"/uploads/store/{key}")
    assert (answer.status_code, answer.text) == (200, digest)


def test_an_upload_that_a_retired_host_has_stored_and_not_answered_is_answered_by_another(
    fleet: tuple[Flask, Flask], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = fleet
    monkeypatch.setattr(identifiers, "random_hex", lambda: "1" * 32)  # the client knows its URL
    headers = {**TUS, "Upload-Length": "7", "Content-Type": "application/offset+octet-stream"}
    with monkeypatch.context() as patched:
        patched.setattr(rows, "finish", killed)
        assert a.test_client().post("/uploads/streams", data=b"content", headers=headers).status_code == 503
    placed(a, 1)
    clock.forward(90)
    assert run(b, "retire", "a").stdout.endswith("uploads ended: 0\n")
    answer = b.test_client().get(f"/uploads/streams/{'1' * 32}")
    assert (answer.status_code, (answer.json or {})["status"]) == (201, "created")


def killed(*_: object, **__: object) -> None:
    raise Unavailable("killed here")


def test_retiring_a_host_gives_up_what_only_it_had(fleet: tuple[Flask, Flask], clock: Clock) -> None:
    a, b = fleet
    kept, lost, running = link(a, "kept.txt"), link(a, "lost.txt"), link(a, "running.txt")
    several = link(a, "several.txt", downloads="3")
    for number in (1, 3, 4):
        placed(a, number)
    assert {status(a, path) for path in (running, several)} == {200}
    a.test_client().post("/uploads/streams", headers=TUS)
    clock.forward(3600)
    with b.app_context():
        confirmations.read_journal()
        confirmations.end_lapsed()
        assert [catalog.by_id(number).status for number in (3, 4)] == ["leased", "leased"]  # type: ignore[union-attr]
    assert (status(b, lost), status(b, running)) == (503, 423)

    refused = run(b, "retire", "a")
    assert refused.exit_code == 1
    assert refused.stdout == "lost: vimeo\t2\t7 bytes\tlost.txt\n"
    assert "These files are on a alone." in refused.stderr

    done = run(b, "retire", "a", "--lose-files")
    assert done.stdout.splitlines()[-1] == "a is retired. Files lost: 1; downloads in doubt: 2; uploads ended: 1"
    assert [line.split("\t")[0] for line in run(b).stdout.splitlines()] == ["b"]
    assert (status(b, kept), status(b, lost), status(b, running)) == (200, 410, 423)
    with b.app_context():
        assert rows.listing() == []
        assert catalog.in_doubt() != []
        assert catalog.by_id(1).host is None  # type: ignore[union-attr]
        registry.note()
