"""The embedded profile's worker: an unused service does not fill its disk, and slow origins delay nothing else."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests import fetches
from tests.origin import Origin, Page, noise
from tests.services import Service, await_, running
from vimeo_api.embedded.worker import FETCHERS

MANY = {"FETCH_PER_CLIENT": "99", "FETCH_PER_ORIGIN": "99"}  # so that one client and origin can hold all fetchers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that fetches from loopback; it must stop without waiting for its fetches."""
    with running("embedded", tmp_path_factory.mktemp("worker") / "data", **fetches.OPEN, **MANY) as service:
        yield service


def figure(path: Path, query: str) -> int:
    with closing(sqlite3.connect(path, timeout=10)) as db:
        return int(db.execute(query).fetchone()[0])


def test_it_keeps_no_message_that_a_worker_has_taken(embedded: Service) -> None:
    broker = embedded.data / "broker.db"
    await_(lambda: figure(broker, "SELECT count(*) FROM sqlite_master WHERE name = 'kombu_message'"))
    # The sweep and the count send messages every few seconds.
    await_(lambda: figure(broker, "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'kombu_message'") > 5)
    await_(lambda: figure(broker, "SELECT count(*) FROM kombu_message WHERE NOT visible") == 0)


def test_it_sweeps_while_slow_origins_hold_all_fetchers(embedded: Service, origin: Origin) -> None:
    url = origin.serve("/silent", Page(noise(1_000), stall_after=1, etag=None))
    for _ in range(FETCHERS + 1):
        fetches.begin(embedded, url)
    await_(lambda: len(origin.requests) == FETCHERS)
    sweeps = "SELECT value FROM counters WHERE name = 'sweep'"
    before = figure(embedded.data / "vimeo_api.db", sweeps)
    await_(lambda: figure(embedded.data / "vimeo_api.db", sweeps) > before + 1)
    assert len(origin.requests) == FETCHERS
