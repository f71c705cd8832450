"""Redis, the broker: down, frozen, full."""

import subprocess
import sys

import pytest

from tests.outages.disks import Shaky
from tests.outages.requesting import delete, get, link, stream
from tests.production.parts import environ_of, frozen, full, stopped
from tests.services import ROOT, Service, await_, used_up

ROW = "Redis, the broker"


@pytest.mark.parametrize("how", [stopped, frozen, full])
def test_the_service_works_and_bytes_are_removed_once_the_broker_is_back(shaky: Shaky, how: object) -> None:
    stack = shaky.service
    await_(lambda: shaky.settled, 60)
    before = shaky.files("store")
    with how(stack, "redis-broker"):  # type: ignore[operator]
        for _ in range(3):
            once = link(stack, b"x")
            assert (get(once).content, used_up(once)) == (b"x", True)
        kept = stream(stack)
        assert get(kept).content == b"content"
        assert (delete(kept).status_code, get(kept).status_code) == (200, 404)
    await_(lambda: shaky.settled and shaky.files("store") <= before, 60)


RUNS = 3
ENQUEUE = f"""
import time
from vimeo_api import tasks
from vimeo_api.app import create_app
from vimeo_api.core.breaker import Breaker
with create_app().app_context():
    for _ in range({RUNS}):
        tasks._broker = Breaker(seconds=5)  # as a process has it that has not met the broker yet
        begun = time.perf_counter()
        print(tasks.enqueue(tasks.delete, []), tasks._broker.open, time.perf_counter() - begun)
"""


@pytest.mark.parametrize("how", [stopped, frozen, full])
def test_enqueueing_never_delays_a_request(stack: Service, how: object) -> None:
    with how(stack, "redis-broker"):  # type: ignore[operator]
        command, environ = [sys.executable, "-c", ENQUEUE], environ_of(stack, "beat")
        done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=True)
    calls = [line.split() for line in done.stdout.splitlines()]
    assert [call[:2] for call in calls] == [["False", "True"]] * RUNS  # and the next call does not even ask
    # A promise of the interface, not a measure of speed: so much a request may wait. The best of three, for a machine
    # that is busy with something else delays everyone.
    assert min(float(seconds) for *_, seconds in calls) < 1
