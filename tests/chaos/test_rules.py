"""The rules for one-time files: each catches its own violation and nothing else."""

import pytest

from tests.chaos import rules
from tests.chaos.inside import Delivery
from tests.chaos.ledger import Attempt, Content, Item, Ledger, OneTime, Queued, State
from tests.chaos.onetime import UNREAD
from tests.chaos.queueing import HIDDEN, Consumer
from tests.chaos.wire import Fate, Reply

SIZE = 3 * UNREAD
A, B = "a" * 32, "b" * 32


def reply(sent_at: float = 0, ended_at: float = 1, *, status: int = 200, body: bytes = b"") -> Reply:
    return Reply(status, True, True, sent_at, sent_at + 0.1, ended_at, body)  # noqa: FBT003


def got(
    resume_token: str, received: int = SIZE, *, start: int = 0, at: float = 0, until: float | None = None
) -> Attempt:
    return Attempt(resume_token, start, received, reply(at, at + 1 if until is None else until))


def sent(resume_token: str, start: int = 0, stop: int = SIZE, *, complete: bool = True) -> Delivery:
    return Delivery("key", resume_token, (start, stop), complete)


def file(*attempts: Attempt, told_gone: bool = False) -> OneTime:
    return OneTime("/file/key", Content("seed", SIZE), None, list(attempts), told_gone)


@pytest.mark.parametrize(
    ("one", "deliveries", "sentences"),
    [
        (file(got(A)), [sent(A)], []),
        (file(got(A), got(A, at=2)), [sent(A)], []),  # its holder went on
        (file(got(A), got(B, at=2)), [sent(A)], ["sent again 1.000 s after it was used up"]),
        (file(got(A), got(B, at=2)), [sent(A, 0, SIZE - 1)], []),  # given back in between
        (file(got(A, until=5), got(B, at=2, until=6)), [], ["sent to two at once"]),
        (file(got(A, until=5), got(B, at=0.05, until=0.2)), [], ["sent to two at once"]),
        (file(got(A, 9, until=1), got(B, at=1.1)), [], []),
        (file(got(A, until=60), got(B, at=20, until=30)), [], []),  # the lease had lapsed
        (file(got(A, until=0.1), got(B, until=0.1)), [sent(A), sent(B)], ["had by two"]),
        (file(got(A, until=0.1), got(B, until=0.1)), [sent(A), sent(B, 0, 9)], []),
        (file(got(A, until=60), got(B, at=20, until=60)), [sent(A), sent(B)], []),
    ],
)
def test_a_file_that_is_sent_twice_breaks_a_rule(
    one: OneTime, deliveries: list[Delivery], sentences: list[str]
) -> None:
    assert list(rules.doubled(one, deliveries)) == sentences


@pytest.mark.parametrize(
    ("one", "deliveries", "sentences"),
    [
        (file(got(A)), [sent(A)], []),
        (file(got(A, SIZE - UNREAD)), [sent(A)], []),  # the rest lay in buffers
        (file(got(A, SIZE - UNREAD - 1)), [sent(A)], ["used up by somebody who has not had it"]),
        (file(), [sent(A)], ["used up by somebody who has not had it"]),
        (file(told_gone=True), [], ["somebody was told that it is gone, and nobody has had it"]),
        (file(told_gone=True), [sent(A, 5, SIZE)], ["somebody was told that it is gone, and nobody has had it"]),
        (file(told_gone=True), [sent(A, 5, SIZE), sent(A, 0, 6)], []),
        (file(told_gone=True), [sent(A, 5, SIZE), sent(B, 0, 6)], []),  # they add up under whatever tokens
        (file(told_gone=True), [sent(A, 0, 6, complete=False), sent(B, 5, SIZE)], []),
        (
            file(told_gone=True),
            [sent(A, complete=False)],
            ["somebody was told that it is gone, and nobody has had it"],
        ),
    ],
)
def test_a_file_that_is_lost_to_its_clients_breaks_a_rule(
    one: OneTime, deliveries: list[Delivery], sentences: list[str]
) -> None:
    assert list(rules.wronged(one, deliveries, journalled=True)) == sentences


@pytest.mark.parametrize(
    ("one", "deliveries", "journalled", "right"),
    [
        (file(), [], True, {200}),
        (file(got(A)), [], True, {200}),  # nginx was killed before it could write that down
        (file(got(A)), [], False, {200, 410}),
        (file(got(A, 5)), [], False, {200}),
        (file(got(A)), [sent(A)], True, {410}),
        (file(got(A, 5)), [sent(A, 0, 5)], True, {200}),
        (file(got(A, 5)), [sent(A, 0, 5), sent(A, 5, SIZE)], True, {200, 410}),
        (file(told_gone=True), [], True, {410}),
    ],
)
def test_a_correct_final_state_breaks_no_rule(
    one: OneTime,
    deliveries: list[Delivery],
    journalled: bool,  # noqa: FBT001 -- a parameter of the test
    right: set[int],
) -> None:
    assert rules.answers(one, deliveries, journalled=journalled) == right


def item(state: State, *, gone_at: float | None = None) -> Item:
    # The SHA-256 of nothing, which `reply` has for a body.
    return Item("streams", "/x", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", state, gone_at)


@pytest.mark.parametrize(
    ("asked", "answer", "sentences"),
    [
        (item(State.THERE), reply(), []),
        (item(State.THERE), reply(body=b"x"), ["other bytes than were sent (1)"]),
        (item(State.UNKNOWN), reply(body=b"x"), ["other bytes than were sent (1)"]),
        (item(State.THERE), reply(status=404), ["answered 404 although it is there"]),
        (item(State.COMING), reply(status=404), ["answered 404 although it is coming"]),
        (item(State.COMING), reply(status=425), []),
        (item(State.THERE), reply(status=425), ["answered 425 although it is there"]),
        (item(State.UNKNOWN), reply(status=404), []),
        (item(State.GONE, gone_at=1), reply(status=404), []),
        (item(State.GONE, gone_at=1), reply(2), ["sent although it is gone"]),
        (item(State.GONE, gone_at=1), reply(0), []),  # it had begun before
        (item(State.THERE), reply(status=503), []),  # nobody is told anything
        (item(State.THERE), reply(status=400), ["answered 400"]),
    ],
)
def test_each_response_is_checked_against_the_promises(asked: Item, answer: Reply, sentences: list[str]) -> None:
    ledger = Ledger("seed")
    ledger.check(asked, answer, during="now")
    assert ledger.lost == [f"streams /x now: {sentence}" for sentence in sentences]


def test_nothing_is_asserted_about_an_upload_whose_response_was_lost() -> None:
    haunted = Item("store", "/x", haunted=True)
    haunted.end(1)
    assert (haunted.state, haunted.gone_at) == (State.UNKNOWN, None)


@pytest.mark.parametrize(
    ("answer", "fate"),
    [
        (reply(status=201), Fate.DONE),
        (reply(status=404), Fate.REFUSED),
        (reply(status=503), Fate.UNKNOWN),
        (Reply(200, True, False, 0, 0, 0), Fate.UNKNOWN),  # noqa: FBT003
        (Reply(0, True, False, 0, 0, 0), Fate.UNKNOWN),  # noqa: FBT003
        (Reply(0, False, False, 0, 0, 0), Fate.UNSENT),  # noqa: FBT003
    ],
)
def test_what_a_client_may_believe(answer: Reply, fate: Fate) -> None:
    assert answer.fate is fate


def test_a_taken_stream_belongs_to_one_consumer() -> None:
    ledger = Ledger("seed")
    queued = Queued(item(State.THERE), [(reply(0), HIDDEN)])
    consumer = Consumer(0, ledger)
    consumer.check_take(queued, reply(HIDDEN + 1))
    assert ledger.doubled == []
    consumer.check_take(queued, reply(HIDDEN - 1))
    assert ledger.doubled == ["queued /x: taken by two at once"]
    queued.item.end(50)
    consumer.check_take(queued, reply(51))
    assert ledger.lost == ["queued /x: taken although it was confirmed"]
