"""A one-time file in doubt: what its clients are told, and what its owner can do, in this process."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from tests.inprocess import PROFILES, Clock, made, stored, sweep
from vimeo_api.core.deliveries import losses
from vimeo_api.service_commands.doubts import doubts

CONTENT = bytes(200_000)


@pytest.fixture(params=PROFILES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    with made(request.param, tmp_path / "data") as app:
        yield app


@pytest.fixture
def link(app: Flask, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The link of a file whose download was interrupted by a power cut."""
    form = {"file": (io.BytesIO(CONTENT), "report.xls"), "password": "a"}
    link = str(app.test_client().put("/vimeo/api/v1.0/file", data=form).get_json()["url"])
    with app.test_client().get(link, query_string="password=a", buffered=False) as response:
        assert response.status_code == 200
        clock.forward(3600)
        (tmp_path / "boot_id").write_text("another")
        monkeypatch.setattr(losses, "BOOT_ID", tmp_path / "boot_id")
        sweep(app)
        return link


def manage(app: Flask, *words: str) -> Result:
    return app.test_cli_runner().invoke(doubts, words)


def test_it_is_locked_until_its_owner_releases_it(app: Flask, link: str) -> None:
    client = app.test_client()
    assert client.get(link).status_code == 401
    refused = client.get(link, query_string="password=a")
    assert refused.status_code == 423
    assert "Its owner has to decide." in refused.get_json()["message"]
    assert client.head(link, query_string="password=a").status_code == 200
    file_id, _, size, name = manage(app).stdout.rstrip("\n").split("\t")
    assert (size, name) == ("200000 bytes", "report.xls")
    assert manage(app, "release", file_id).exit_code == 0
    with client.get(link, query_string="password=a", buffered=False) as response:
        assert response.status_code == 200
    assert manage(app).stdout == ""


def test_its_owner_removes_it(app: Flask, link: str) -> None:
    file_id = manage(app).stdout.split("\t")[0]
    assert manage(app, "remove", file_id).exit_code == 0
    assert app.test_client().get(link, query_string="password=a").status_code == 410
    sweep(app)
    assert stored(app) == set()
    again = manage(app, "remove", file_id)
    assert (again.exit_code, "No file with this id is in doubt." in again.stderr) == (1, True)
