"""Redis, the broker: down, frozen, full."""

import subprocess
import sys
from contextlib import nullcontext

import pytest

from tests.outages.requesting import delete, get, link, stream
from tests.production.parts import environ_of, frozen, full, stopped
from tests.services import ROOT, Service, await_

ROW = "Redis, the broker"


@pytest.mark.parametrize("how", [stopped, frozen, full])
def test_all_goes_on_and_bytes_go_once_it_is_back(stack: Service, how: object) -> None:
    before = stack.stored()
    with how(stack, "redis-broker"):  # type: ignore[operator]
        for _ in range(3):
            once = link(stack, b"x")
            assert (get(once).content, get(once).status_code) == (b"x", 410)
        kept = stream(stack)
        assert get(kept).content == b"content"
        assert (delete(kept).status_code, get(kept).status_code) == (200, 404)
    await_(lambda: not stack.stored() - before, 60)


RUNS, CALLS = 3, 3
ENQUEUE = f"""
import time
from vimeo_api import tasks
from vimeo_api.app import create_app
from vimeo_api.core.breaker import Breaker
with create_app().app_context():
    for _ in range({RUNS}):
        tasks._broker = Breaker(seconds=5)  # as a process has it that has not met the broker yet
        for _ in range({CALLS}):
            begun = time.perf_counter()
            done = tasks.enqueue(tasks.delete, [])
            print(done, time.perf_counter() - begun)
"""


@pytest.mark.parametrize(("how", "taken"), [(None, True), (stopped, False), (frozen, False), (full, False)])
def test_enqueueing_never_holds_a_request_up(stack: Service, how: object, *, taken: bool) -> None:
    environ = environ_of(stack, "beat")

    with how(stack, "redis-broker") if how else nullcontext():  # type: ignore[operator]
        command = [sys.executable, "-c", ENQUEUE]
        done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=True)
    calls = [line.split() for line in done.stdout.splitlines()]
    assert [word for word, _ in calls] == [str(taken)] * RUNS * CALLS
    # A promise of the interface, not a measure of speed: so much a request may wait, and only the first one. The best
    # of three, for a machine that is busy with something else holds everybody up.
    if not taken:
        assert min(float(seconds) for _, seconds in calls[::CALLS]) < 1
        assert min(float(seconds) for _, seconds in calls[1::CALLS]) < 0.01
