"""Fixtures: the embedded app in this process for unit tests, the real service in both profiles for the rest."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import flask_migrate
import pytest
from flask import Flask

from tests.services import ROOT, Service, running
from vimeo_api import config
from vimeo_api.app import create_app

# A shell starts background jobs with SIGINT ignored, and programs inherit that; those that we start get the default.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The embedded app on a fresh folder and database, inside its context."""
    settings = config.load({"DATA_DIR": str(tmp_path / "data"), "PROFILE": "embedded"})
    app = create_app(settings)
    with app.app_context():
        flask_migrate.upgrade(str(ROOT / "migrations"))
        yield app


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Service]]:
    """The real service in a profile, started when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def start(profile: str) -> Service:
            return stack.enter_context(running(profile, tmp_path_factory.mktemp(profile) / "data"))

        yield start


@pytest.fixture(params=["embedded", "production"])
def service(request: pytest.FixtureRequest, services: Callable[[str], Service]) -> Service:
    """The real service, once per profile for all tests that leave it as they find it."""
    return services(request.param)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The production stack alone, for tests of its own parts."""
    with running("production", tmp_path_factory.mktemp("stack") / "data") as service:
        yield service
