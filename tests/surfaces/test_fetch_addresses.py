"""Addresses that URLs must not lead to: asked of the app in process, before any connection."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.inprocess import made
from tests.origin import Origin
from vimeo_api import config


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The app, which fetches from public addresses only."""
    with made("embedded", tmp_path / "data", FETCH_URLS="1", FETCH_ALLOW_PRIVATE="0") as app:
        yield app


def test_production_fetches_from_public_addresses_only_by_default() -> None:
    assert config.Production.model_fields["fetch_allow_private"].default is False


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1", 403),
        ("localhost", 403),
        ("10.0.0.1", 403),
        ("169.254.169.254", 403),
        ("[::1]", 403),
        ("[::ffff:127.0.0.1]", 403),
        ("2130706433", 400),
        ("0x7f000001", 400),
        ("①②⑦.⓪.⓪.①", 403),
    ],
)
def test_private_addresses_are_refused_unless_allowed(app: Flask, origin: Origin, host: str, code: int) -> None:
    answer = app.test_client().post("/uploadFile", json={"file": f"http://{host}:{origin.port}/"})
    assert (answer.status_code, list(answer.get_json())) == (code, ["error"]), answer.text
    assert not origin.requests
