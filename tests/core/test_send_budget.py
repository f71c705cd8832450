"""How often bytes of a one-time file may leave, and for how long a lease can be kept."""

from collections.abc import Callable

import pytest
from flask import Flask

from tests.inprocess import Clock, clock
from vimeo_api.core.errors import BudgetSpent, Locked
from vimeo_api.core.files import catalog, send_budget
from vimeo_api.core.files.catalog import Entry, NewFile
from vimeo_api.core.files.send_budget import Span, Spans
from vimeo_api.core.policy import VIMEO
from vimeo_api.extensions import settings
from vimeo_api.services.downloads import open_download

__all__ = ["clock"]

NOTHING = Spans({}, ())


def asked(start: int, stop: int) -> Callable[[Entry], Span | None]:
    return lambda _: (start, stop)


def test_it_counts_each_byte_separately() -> None:
    spans = NOTHING.charged(1, (0, 5)).settled(1, (0, 4)).charged(2, (3, 8)).charged(3, (3, 4))
    assert [spans.most((at, at + 1)) for at in range(9)] == [1, 1, 1, 3, 1, 1, 1, 1, 0]
    assert Spans.read(str(spans), responses=3, size=9) == spans


def test_a_response_is_recorded_once() -> None:
    spans = NOTHING.charged(1, (0, 5)).settled(1, (0, 2))
    assert spans.settled(1, (0, 5)) is spans


def test_empty_text_means_one_response_with_the_whole_file() -> None:
    assert Spans.read("", responses=1, size=7) == NOTHING.charged(1, (0, 7))
    assert Spans.read("", responses=0, size=7) == NOTHING


def test_only_sent_bytes_cover_the_file() -> None:
    spans = NOTHING.charged(1, (0, 5)).charged(2, (5, 9)).settled(2, (5, 9))
    assert not spans.covers(9)
    assert spans.settled(1, (0, 5)).covers(9)
    assert not spans.settled(1, (0, 4)).covers(9)
    assert NOTHING.covers(0)


def test_the_row_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_budget, "MOST_RUNS", 3)
    monkeypatch.setattr(send_budget, "MOST_OPEN", 3)
    spans = NOTHING
    for at, number in enumerate((0, 10, 11, 13, 30, 40)):
        spans = spans.charged(at, (number, number + 1)).settled(at, (number, number + 1))
    assert spans.sent == ((0, 1, 1), (10, 14, 1), (30, 41, 1))
    for number in range(5):
        spans = spans.charged(number, (50, 51))
    assert len(spans.open) == 3
    assert spans.most((50, 51)) == 5


@pytest.mark.usefixtures("app")
def test_a_lease_cannot_be_kept_for_ever(clock: Clock) -> None:
    catalog.add(NewFile("vimeo", "k", blob="b", name="n", size=100))
    ticket = open_download(VIMEO, "k", span_of=asked(0, 1))[1]
    assert ticket
    token, seconds = ticket.lease_token, settings.lease_seconds + 100 / settings.lease_min_rate
    at = 0.0
    while at + 50 < settings.vimeo.budget * seconds:
        at += 50
        clock.forward(50)
        renewed = open_download(VIMEO, "k", span_of=asked(int(at), int(at) + 1), resume_token=token)[1]
        assert renewed
        assert renewed.lease_token == token
        with pytest.raises(Locked):
            open_download(VIMEO, "k", span_of=asked(0, 1))
    clock.forward(settings.vimeo.budget * seconds - at)
    late = open_download(VIMEO, "k", span_of=asked(0, 1), resume_token=token)[1]
    assert late
    assert late.lease_token != token
    with pytest.raises(Locked):
        open_download(VIMEO, "k", span_of=asked(0, 1), resume_token=token)


def test_an_unreported_response_spends_the_budget(app: Flask, clock: Clock) -> None:
    catalog.add(NewFile("vimeo", "k", blob="b", name="n", size=10))
    for _ in range(settings.vimeo.budget):
        open_download(VIMEO, "k")
        clock.forward(2 * settings.lease_seconds)
    with pytest.raises(BudgetSpent):
        open_download(VIMEO, "k")
