"""How many threads may wait for a service that does not answer."""

from contextlib import ExitStack

import pytest

from vimeo_api.core.errors import Unavailable
from vimeo_api.core.storage.gate import Gate


def refuses(gate: Gate) -> bool:
    try:
        with gate.passing():
            return False
    except Unavailable:
        return True


@pytest.fixture
def waiting() -> ExitStack:
    return ExitStack()


def test_it_lets_all_pass_while_the_service_answers(waiting: ExitStack) -> None:
    gate = Gate(few=2, patience=60)
    for _ in range(8):
        waiting.enter_context(gate.passing())
    assert not refuses(gate)


def test_it_lets_few_wait_once_nothing_was_heard_for_a_while(waiting: ExitStack) -> None:
    gate = Gate(few=2, patience=0)
    assert not gate.silent
    for _ in range(2):
        waiting.enter_context(gate.passing())
    assert refuses(gate)
    waiting.close()
    assert not refuses(gate)


def test_it_lets_few_try_after_a_failure_and_all_after_a_success(waiting: ExitStack) -> None:
    gate = Gate(few=2, patience=60)
    gate.note_failure()
    for _ in range(2):
        waiting.enter_context(gate.passing())
    assert refuses(gate)
    gate.note_answer()
    assert not refuses(gate)
