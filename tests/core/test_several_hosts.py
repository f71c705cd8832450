"""Several hosts on one database: each reads its own journal, and ends and removes only what is its own."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import update

from tests.core.leasing import lease
from tests.hosts import report, two_hosts
from tests.inprocess import Clock
from vimeo_api.core import hosts
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.deliveries import confirmations, losses
from vimeo_api.core.deliveries.lines import Ticket
from vimeo_api.core.files import catalog, placing, storing
from vimeo_api.core.files.catalog import Entry, NewFile
from vimeo_api.core.maintenance import reconciliation, sweep
from vimeo_api.core.policy import STREAMS
from vimeo_api.extensions import blobs
from vimeo_api.services import files

SIZE = 10
TOKEN, OTHER = "1" * 32, "2" * 32


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[tuple[Flask, Flask]]:
    with two_hosts(tmp_path) as apps:
        yield apps


def one_time(downloads: int = 1) -> Entry:
    catalog.add(NewFile("vimeo", "k", blob="b", name="n", size=SIZE, downloads=downloads))
    return entry()


def entry(surface: str = "vimeo", key: str = "k") -> Entry:
    found = catalog.find(surface, key)
    assert found is not None
    return found


def stream(content: bytes = b"content") -> Entry:
    with blobs.stage() as staging:
        staging.write(content)
        return entry("streams", storing.upload(STREAMS, staging).key)


def taken(app: Flask, token: str = TOKEN) -> Ticket:
    """Take or renew the lease on a host."""
    with app.app_context():
        response = lease(entry().id, token)
        assert response is not None
        return Ticket(entry().id, token, response)


def swept(app: Flask) -> str:
    """Return the status of the file after a host's sweep."""
    with app.app_context():
        confirmations.read_journal()
        confirmations.end_lapsed()
        return entry().status


@pytest.mark.parametrize("downloads", [1, 3])
def test_a_host_ends_only_its_own_leases(fleet: tuple[Flask, Flask], clock: Clock, downloads: int) -> None:
    a, b = fleet
    with a.app_context():
        one_time(downloads)
    ticket = taken(a)
    clock.forward(100)
    assert swept(b) == Status.LEASED, "the journal of the other host may say that it is used up"
    report(a, ticket, sent=SIZE)
    assert swept(a) == (Status.GONE if downloads == 1 else Status.AVAILABLE)
    with a.app_context():
        assert entry().slots == "" or '"done"' in entry().slots


@pytest.mark.parametrize("downloads", [1, 2])
def test_a_lease_of_two_hosts_ends_once_both_journals_are_read(
    fleet: tuple[Flask, Flask], clock: Clock, downloads: int
) -> None:
    a, b = fleet
    with a.app_context():
        one_time(downloads)
    swept(a)
    taken(a)
    taken(b)  # its client goes on through the other host
    clock.forward(100)
    assert swept(b) == Status.LEASED, "the first host may have sent everything"
    assert swept(a) == Status.LEASED, "the last host decides"
    assert swept(b) == Status.AVAILABLE


def test_a_lease_of_two_hosts_is_in_doubt_if_either_journal_lost_lines(
    fleet: tuple[Flask, Flask], clock: Clock
) -> None:
    a, b = fleet
    with a.app_context():
        one_time()
    taken(a)
    taken(b)
    clock.forward(1)
    with a.app_context():
        losses.note("full disk")
    clock.forward(100)
    swept(a)
    assert swept(b) == Status.IN_DOUBT


def test_the_losses_of_one_host_put_nothing_of_another_in_doubt(fleet: tuple[Flask, Flask], clock: Clock) -> None:
    a, b = fleet
    with a.app_context():
        one_time()
    taken(a)
    with b.app_context():
        losses.note("full disk")
    clock.forward(100)
    assert swept(a) == Status.AVAILABLE


def test_rows_without_a_host_belong_to_the_first_one(fleet: tuple[Flask, Flask], clock: Clock) -> None:
    a, b = fleet
    with a.app_context():
        one_time()
        lease(entry().id, TOKEN)
        statements.execute(update(File).values(lease_host=None))
    clock.forward(100)
    assert swept(b) == Status.LEASED
    assert swept(a) == Status.AVAILABLE


def test_any_host_gives_a_stream_back_to_its_queue(fleet: tuple[Flask, Flask], clock: Clock) -> None:
    a, b = fleet
    with a.app_context():
        catalog.add(NewFile("vimeo", "k", blob="b", name="n", size=SIZE))
        moment = now() + timedelta(seconds=9)
        statements.execute(update(File).values(status=Status.LEASED, due_at=moment, lease_token=OTHER))
    clock.forward(100)
    assert swept(b) == Status.AVAILABLE


def test_a_host_places_and_removes_only_what_is_in_its_own_pending_area(
    fleet: tuple[Flask, Flask], clock: Clock
) -> None:
    a, b = fleet
    with a.app_context():
        file = stream()
        assert (file.pending, file.host) == (True, "a")
        path = blobs.path(file.surface, file.blob, pending=True)
    with b.app_context():
        assert placing.due(10) == []
        placing.run(file.id)
        assert entry("streams", file.key).pending
    with a.app_context():
        assert placing.due(10) == [file.id]
        placing.run(file.id)
        placed = entry("streams", file.key)
        assert (placed.pending, placed.host, path.exists()) == (False, "a", True)
    with b.app_context():
        files.remove(STREAMS, file.key)
        assert (sweep.due_here(10), sweep.due_anywhere(10)) == ([], [])
    with a.app_context():
        due = sweep.due_here(10)
        assert due == [file.id]
        sweep.purge(due)
        assert catalog.by_id(file.id) is None
        assert not path.exists()


def test_any_host_removes_what_is_in_the_store_alone(fleet: tuple[Flask, Flask], clock: Clock) -> None:
    a, b = fleet
    with a.app_context():
        file = stream()
        placing.run(file.id)
        clock.forward(100)
        placing.run(file.id)
        assert entry("streams", file.key).host is None
    with b.app_context():
        files.remove(STREAMS, file.key)
        assert catalog.by_id(file.id) is None
        assert not blobs.path(file.surface, file.blob).exists()


def test_reconciliation_misses_nothing_that_another_host_has(fleet: tuple[Flask, Flask], clock: Clock) -> None:
    a, b = fleet
    with a.app_context():
        file = stream()
    clock.forward(60)
    with b.app_context():
        assert list(reconciliation.findings(age=0)) == []
    with a.app_context():
        assert list(reconciliation.findings(age=0)) == []
        blobs.path(file.surface, file.blob, pending=True).unlink()
        assert [finding.kind for finding in reconciliation.findings(age=0)] == ["missing"]


def test_a_host_has_read_its_journal_up_to_its_last_sweep(fleet: tuple[Flask, Flask]) -> None:
    with fleet[0].app_context():
        confirmations.read_journal()
        confirmations.end_lapsed()
        assert hosts.have_read(["a"], now() - timedelta(seconds=5))
        assert not hosts.have_read(["a"], now() + timedelta(seconds=5))
        assert not hosts.have_read(["a", "unknown"], now() - timedelta(seconds=5))
