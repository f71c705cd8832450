"""A one-time file over time: its lease, the grace period after its download, and its bytes."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.inprocess import PROFILES, Clock, made, stored, sweep

CONTENT = bytes(200_000)  # so that a download that has begun is not about to end
LEASE_SECONDS = 60
GRACE_SECONDS = 30
SETTINGS = {"LEASE_MIN_RATE": "1GiB"}  # so that size adds nothing to a lease


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    with made("embedded", tmp_path / "data", **SETTINGS) as app:
        yield app


def put(app: Flask) -> str:
    """Upload a file, and return its link."""
    form = {"file": (io.BytesIO(CONTENT), "report.xls")}
    return str(app.test_client().put("/vimeo/api/v1.0/file", data=form).get_json()["url"])


def begin(app: Flask, link: str) -> TestResponse:
    """Begin a download without reading it; its data is read on demand."""
    return app.test_client().get(link, buffered=False)


def status(app: Flask, link: str, **headers: str) -> int:
    return app.test_client().get(link, headers=headers, buffered=True).status_code


@pytest.mark.parametrize("profile", PROFILES)
def test_a_lease_lapses_when_its_time_is_up(profile: str, tmp_path: Path, clock: Clock) -> None:
    with made(profile, tmp_path / "data", **SETTINGS) as app:
        link = put(app)
        with begin(app, link):
            assert status(app, link) == 423
            clock.forward(LEASE_SECONDS - 1)
            assert status(app, link) == 423
            clock.forward(2)
            assert status(app, link) == 200


def test_a_file_that_was_downloaded_keeps_its_bytes_for_the_grace_period(app: Flask, clock: Clock) -> None:
    link = put(app)
    first = app.test_client().get(link, buffered=True)
    assert first.data == CONTENT
    token = {"X-Download-Grant": first.headers["X-Download-Grant"]}
    assert status(app, link) == 410
    clock.forward(GRACE_SECONDS - 1)
    sweep(app)
    assert len(stored(app)) == 1
    assert status(app, link, **token) == 200
    clock.forward(GRACE_SECONDS + 1)
    sweep(app)
    assert stored(app) == set()
    assert status(app, link, **token) == 410
    assert status(app, link) == 410
