"""Fetching over real sockets from a misbehaving origin: one clear error, never a wrong file."""

import socket
from typing import Any

import pytest

from tests.core.fetching import CONTENT, QUICK, Memory, fetch, fetched
from tests.origin import Origin, Page
from vimeo_api.core.errors import PipelineError, StorageFull, TooLarge
from vimeo_api.core.fetching.client import AddressRefused, Cancelled, Limits, OriginFailed, OriginTooSlow, UrlRefused

pytestmark = pytest.mark.usefixtures("nothing_outlives_a_fetch")


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        (Page(statuses=[404]), r"127\.0\.0\.1 answers 404 \(Not Found\)\."),
        (Page(statuses=[500] * 99), r"answers 500"),
        (Page(statuses=[204]), r"answers 204"),
        (Page(CONTENT, changes_after=1), r"changed the file"),
        (Page(CONTENT, changes_after=3, break_after=100_000), r"changed the file"),
        (Page(CONTENT, ranges="late"), r"another part"),
        (Page(CONTENT, ranges="lying"), r"contradicts itself|changed the file|ends before"),
        (Page(CONTENT, framing="longer"), r"contradicts itself"),
        (Page(CONTENT, framing="longer", ranges="no"), r"breaks the connection|ends before"),
        (Page(CONTENT, framing="close", ranges="no"), r"does not say how long"),
        (Page(CONTENT, break_after=0), r"breaks the connection|ends before"),
        (Page(CONTENT, ranges="no", break_after=30_000), r"breaks the connection|ends before"),
        (Page(CONTENT, ranges="no", framing="chunked", break_after=30_000), r"breaks the connection"),
        (Page(CONTENT, headers={"Content-Encoding": "deflate"}), r"compresses"),
        (Page(CONTENT, headers={"Content-Encoding": "gzip, br"}), r"compresses"),
        (Page(CONTENT, range_status=403, statuses=[403, 403]), r"answers 403"),
        (Page(raw=b"HTTP/1.0 200 OK\r\n\r\nsome"), r"does not say how long .* SHA-256"),
        (Page(raw=b"HTTP/1.1 206 OK\r\nContent-Length: 4\r\nContent-Range: bytes 4-7/9\r\n\r\nsome"), r"not requested"),
        (Page(raw=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 9999), r"headers|breaks"),
        (Page(CONTENT, ranges="no", headers={"Content-Length": "7"}), r"no valid length"),
        (Page(location="/file"), r"redirects more than 20 times"),
        (Page(location=""), r"redirects to nowhere"),
        (Page(huge_header=True), r"headers"),
    ],
)
def test_errors_say_what_the_origin_did(origin: Origin, page: Page, sentence: str) -> None:
    sink = Memory()
    with pytest.raises(OriginFailed, match=sentence):
        fetch(origin.serve("/file", page), sink)


def test_it_retries_a_failing_origin_a_limited_number_of_times(origin: Origin) -> None:
    with pytest.raises(OriginFailed):
        fetch(origin.serve("/file", Page(statuses=[500] * 99)), Memory())
    assert len(origin.requests) == 1 + QUICK.retries
    with pytest.raises(OriginFailed):
        fetch(origin.serve("/other", Page(statuses=[404] * 99)), Memory())
    assert len(origin.requests) == 2 + QUICK.retries


def test_it_follows_a_limited_number_of_redirects(origin: Origin) -> None:
    with pytest.raises(OriginFailed):
        fetch(origin.serve("/file", Page(location="/file")), Memory())
    assert len(origin.requests) == 1 + QUICK.redirects


def test_a_refused_connection_is_the_origins_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    with pytest.raises(OriginFailed, match="cannot be reached"):
        fetch(url, Memory())


@pytest.mark.parametrize(
    ("page", "limits"),
    [
        (Page(CONTENT, stall_after=10), Limits(idle=0.3)),
        (Page(CONTENT, stall_after=0), Limits(stall=0.05, retries=2, backoff=0.001)),
        (Page(CONTENT, stall_after=10, ranges="no"), Limits(idle=0.3)),
        (Page(CONTENT, throttle=10_000), Limits(total=0.3)),
        (Page(CONTENT, throttle=200_000), Limits(min_rate=10_000_000, rate_seconds=0.3)),
        (Page(CONTENT, throttle=200_000, ranges="no"), Limits(min_rate=10_000_000, rate_seconds=0.3)),
        (Page(dripping=True), Limits(total=0.3)),
    ],
)
def test_a_fetch_from_a_slow_origin_fails(origin: Origin, page: Page, limits: Limits) -> None:
    with pytest.raises(OriginTooSlow):
        fetch(origin.serve("/file", page), Memory(), limits=limits)


def test_time_spent_elsewhere_does_not_count_against_the_origin(origin: Origin) -> None:
    # The rate is measured from the first byte on, over all connections together.
    page = Page(CONTENT, throttle=200_000, statuses=[503, 503, 503])
    limits = Limits(min_rate=400_000, rate_seconds=0.4, backoff=0.3)
    assert fetched(origin.serve("/file", page), limits=limits) == CONTENT


@pytest.mark.parametrize("ranges", ["yes", "no"])
def test_an_announced_size_is_refused_before_the_first_byte(origin: Origin, ranges: Any) -> None:
    sink = Memory()
    with pytest.raises(TooLarge, match="999999"):
        fetch(origin.serve("/file", Page(CONTENT, ranges=ranges)), sink, limits=Limits(max_bytes=999_999))
    assert sink.offers == []
    assert fetched(origin.url("/file"), limits=Limits(max_bytes=1_000_000)) == CONTENT


def test_a_size_that_is_known_late_is_refused_then(origin: Origin) -> None:
    sink = Memory()
    with pytest.raises(TooLarge):
        fetch(origin.serve("/file", Page(CONTENT, ranges="no", framing="chunked")), sink, limits=Limits(max_bytes=9999))
    assert sink.written <= 9999


@pytest.mark.parametrize("ranges", ["yes", "no"])
def test_it_can_be_cancelled_while_the_origin_is_silent(origin: Origin, ranges: Any) -> None:
    sink = Memory()
    with pytest.raises(Cancelled):
        fetch(
            origin.serve("/file", Page(CONTENT, stall_after=10, ranges=ranges)),
            sink,
            cancelled=lambda: sink.written > 0,
            limits=Limits(stall=3600, idle=3600),
        )


@pytest.mark.parametrize("ranges", ["yes", "no"])
def test_errors_of_the_sink_end_the_fetch(origin: Origin, ranges: Any) -> None:
    with pytest.raises(StorageFull):
        fetch(origin.serve("/file", Page(CONTENT, ranges=ranges)), Memory(fails_after=500_000))


def test_every_error_has_a_sentence_for_the_client() -> None:
    for error in (AddressRefused, Cancelled, OriginFailed, OriginTooSlow, UrlRefused):
        assert issubclass(error, PipelineError)
