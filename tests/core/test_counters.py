"""Counters that all processes share."""

import threading

from flask import Flask

from tests.core.leasing import lease
from tests.inprocess import Clock
from vimeo_api import tasks
from vimeo_api.core.database import counters
from vimeo_api.core.database.counters import RUN_RESOLUTION, Counted
from vimeo_api.core.deliveries import confirmations
from vimeo_api.core.deliveries.lines import Sent, Ticket
from vimeo_api.core.files import catalog, leases
from vimeo_api.core.files.catalog import NewFile

LEASE_TOKEN = "a" * 32


def counts() -> dict[str, int]:
    return {name: value for name, (value, _) in counters.read().items()}


def leased(key: str) -> Ticket:
    catalog.add(NewFile("vimeo", key, blob=key, name="n", size=10))
    entry = catalog.find("vimeo", key)
    assert entry
    answer = lease(entry.id, LEASE_TOKEN)
    assert answer
    return Ticket(entry.id, LEASE_TOKEN, answer)


def test_concurrent_increments_are_all_counted(app: Flask) -> None:
    def count() -> None:
        with app.app_context():
            for _ in range(5):
                counters.add({Counted.CONFIRMED: 2, Counted.LAPSED: 0})

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts() == {"confirmed": 40}


def test_a_download_reported_twice_counts_once(app: Flask) -> None:
    whole, broken = Sent(leased("a"), (0, 10), complete=True), Sent(leased("b"), (0, 3), complete=False)
    confirmations.handle(whole, broken, whole)
    confirmations.handle(whole, broken)
    assert counts() == {"confirmed": 1, "given_back": 1}


def test_a_sweep_says_what_it_found_and_when_it_ran(app: Flask) -> None:
    ticket = leased("a")
    leases.use_up(ticket.file_id, LEASE_TOKEN, grace_seconds=0)
    catalog.add(NewFile("transfer", "b", blob="b", name="n", size=0, source_url="http://x/"))
    tasks.sweep()
    assert counts() == {"purges": 1, "fetches": 1, "sweep": 1}


def test_runs_that_follow_closely_are_noted_once(app: Flask, clock: Clock) -> None:
    counters.ran(Counted.SWEEP)
    first = counters.read()["sweep"]
    counters.ran(Counted.SWEEP)
    assert counters.read()["sweep"] == first
    clock.forward(2 * RUN_RESOLUTION.total_seconds())
    counters.ran(Counted.SWEEP)
    value, moment = counters.read()["sweep"]
    assert value == 2
    assert moment >= first[1]
