"""The object store of the tests of this folder, and an app that places files there."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.groups import shared
from tests.inprocess import made
from tests.object_stores import ObjectStore, serving_objects


@pytest.fixture(scope="session")
def storing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], ObjectStore]]:
    """The object store, started when it is first asked for."""
    with shared(lambda: serving_objects(tmp_path_factory.mktemp("objects"))) as started:
        yield started


@pytest.fixture
def bucket(storing: Callable[[], ObjectStore]) -> ObjectStore:
    return storing()


@pytest.fixture
def app(bucket: ObjectStore, tmp_path: Path) -> Iterator[Flask]:
    with made("embedded", tmp_path / "data", **bucket.settings(tmp_path.name)) as app, app.app_context():
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
