"""Fixtures: the embedded app in this process, the real service in both profiles, an origin, and a record of syncs."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from flask import Flask

from tests import fleets
from tests.access.guarded import all_guarded
from tests.fetches import OPEN
from tests.groups import (
    PROFILES,
    pytest_collection,
    pytest_collection_modifyitems,
    pytest_configure_node,
    pytest_runtest_setup,
    pytest_runtest_teardown,
    pytest_unconfigure,
    pytest_xdist_make_scheduler,
    shared,
)
from tests.inprocess import migrated, share_compiled
from tests.origin import Origin, serving
from tests.outages import disks
from tests.outages.disks import Shaky
from tests.services import FETCH_WAITERS, GRACE_SECONDS, LARGE, Service, running
from vimeo_api import config
from vimeo_api.app import create_app
from vimeo_api.extensions import db

__all__ = [
    "all_guarded",
    "pytest_collection",
    "pytest_collection_modifyitems",
    "pytest_configure_node",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "pytest_unconfigure",
    "pytest_xdist_make_scheduler",
]

# A shell starts background jobs with SIGINT ignored, nohup does so with SIGHUP, and child processes inherit that. Ours
# get the default.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The embedded app on a fresh folder and database, inside its context."""
    data = shutil.copytree(migrated(), tmp_path / "data")
    app = create_app(config.load({"DATA_DIR": str(data), "PROFILE": "embedded"}))
    share_compiled(app)
    with app.app_context():
        yield app
        db.engine.dispose()


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Service]]:
    """The real service in a profile, started at its first use."""

    def start(profile: str) -> AbstractContextManager[Service]:
        # On a busy machine a join may take longer than usual.
        settings = {"GRACE_SECONDS": str(GRACE_SECONDS), "FETCH_WAIT_SECONDS": "30"}
        if profile == "fleet":
            return fleets.running(**settings)
        return running(profile, tmp_path_factory.mktemp(f"service-{profile}") / "data", **settings)

    with shared(start) as started:
        yield started


@pytest.fixture(scope="session")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Service]]:
    """The same with URL uploads from loopback, long timeouts, space for large files, and deleting by anyone."""
    deleting = {"NAMED_OPEN_DELETE": "1", "TRANSFER_OPEN_DELETE": "1"}
    patience = {"FETCH_WAITERS": str(FETCH_WAITERS), "FETCH_WAIT_SECONDS": "90", "TRANSFER_MAX_BYTES": "16MiB"}

    def start(profile: str) -> AbstractContextManager[Service]:
        data = tmp_path_factory.mktemp(f"fetching-{profile}") / "data"
        return running(profile, data, **OPEN, **patience, **deleting, VIMEO_MAX_BYTES=str(LARGE))

    with shared(start) as started:
        yield started


@pytest.fixture(params=PROFILES)
def service(request: pytest.FixtureRequest, services: Callable[[str], Service]) -> Service:
    """The real service, one per profile for all tests that leave it as they found it."""
    return services(request.param)


@pytest.fixture(params=PROFILES)
def fetcher(request: pytest.FixtureRequest, fetching: Callable[[str], Service]) -> Service:
    """The real service that also fetches from loopback URLs, one per profile."""
    return fetching(request.param)


@pytest.fixture(scope="module")
def stack(fetching: Callable[[str], Service]) -> Service:
    """Only the production stack, for tests of its parts."""
    return fetching("production")


@pytest.fixture(scope="session")
def shaking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Shaky]]:
    """The production stack whose disks fail, started when it is first asked for."""
    with shared(lambda: disks.shaking(tmp_path_factory.mktemp("shaky"))) as started:
        yield started


@pytest.fixture
def shaky(shaking: Callable[[], Shaky]) -> Shaky:
    """The same, for all tests that leave it as they find it; its budgets are small."""
    return shaking()


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A new origin for each test."""
    with serving() as origin:
        yield origin


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """What this process syncs (`fsync`) and links (`link`), in order."""
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
