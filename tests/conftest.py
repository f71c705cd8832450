"""Fixtures: the embedded app in this process, the real service in both profiles, an origin, and a note of syncs."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import flask_migrate
import pytest
from flask import Flask

from tests.origin import Origin, serving
from tests.services import GRACE_SECONDS, ROOT, Service, running
from vimeo_api import config
from vimeo_api.app import create_app

# A shell starts background jobs with SIGINT ignored, nohup with SIGHUP, and programs inherit that; those that we start
# get the default.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


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
            data = tmp_path_factory.mktemp(profile) / "data"
            return stack.enter_context(running(profile, data, GRACE_SECONDS=str(GRACE_SECONDS)))

        yield start


@pytest.fixture(scope="session", params=["embedded", "production"])
def service(request: pytest.FixtureRequest, services: Callable[[str], Service]) -> Service:
    """The real service, once per profile for all tests that leave it as they find it."""
    return services(request.param)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The production stack alone, for tests of its own parts."""
    with running("production", tmp_path_factory.mktemp("stack") / "data") as service:
        yield service


@pytest.fixture
def origin() -> Iterator[Origin]:
    """An origin of its own for each test."""
    with serving() as origin:
        yield origin


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """What this process syncs (`fsync`) and gives its name (`link`), in order."""
    taken: list[tuple[str, Path]] = []
    fsync, link = os.fsync, Path.hardlink_to

    def noted_fsync(descriptor: int) -> None:
        taken.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def noted_link(self: Path, target: Path) -> None:
        taken.append(("link", self))
        link(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "hardlink_to", noted_link)
    return taken
