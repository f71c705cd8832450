"""Questions without an answer: they time out, are asked once at a time, and reveal no secrets."""

import errno
import threading
from collections.abc import Callable

import pytest
from flask import Flask

from tests.services import await_
from vimeo_api.core.monitoring import probes
from vimeo_api.core.monitoring.probes import Probe

FOREVER = 60.0
AT_ONCE = 0.0


def raising(error: Exception) -> Callable[[], None]:
    def question() -> None:
        raise error

    return question


def test_a_hanging_service_does_not_delay_other_probes(app: Flask) -> None:
    go_on = threading.Event()
    found = probes.ask({"stuck": Probe(go_on.wait, seconds=0.1), "well": Probe(lambda: 42, seconds=FOREVER)})
    go_on.set()
    assert (found["well"].ok, found["well"].value) == (True, 42)
    assert (found["stuck"].ok, found["stuck"].value, found["stuck"].trouble) == (False, None, "no answer within 0.1 s")
    assert found["stuck"].seconds == 0.1


def test_a_hanging_service_is_probed_once_at_a_time(app: Flask) -> None:
    go_on, asked = threading.Event(), []

    def question() -> int:
        asked.append(threading.current_thread())
        go_on.wait()
        return len(asked)

    probe = Probe(question, seconds=AT_ONCE)
    for _ in range(5):
        assert not probes.ask({"it": probe})["it"].ok
    assert len(asked) == 1
    go_on.set()
    await_(lambda: not asked[0].is_alive())
    probe.seconds = FOREVER
    assert probes.ask({"it": probe})["it"].value == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/secret"), "No space left on device"),
        (ValueError("password=hunter2"), "ValueError"),
    ],
)
def test_it_does_not_quote_an_error(app: Flask, error: Exception, words: str) -> None:
    assert probes.ask({"it": Probe(raising(error), seconds=FOREVER)})["it"].trouble == words
