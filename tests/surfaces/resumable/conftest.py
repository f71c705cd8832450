"""The app of the tests of resumable uploads, in both profiles; in production behind a fake nginx."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.front import fronted
from tests.inprocess import PROFILES


@pytest.fixture(params=PROFILES, scope="module")
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with fronted(request.param, tmp_path_factory.mktemp("resumable") / "data", VIMEO_MAX_BYTES="1MiB") as app:
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
