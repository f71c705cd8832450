"""Fetching over real sockets from many kinds of origins: the right bytes and the right name."""

import threading
from typing import Any

import pytest

from tests.core.fetching import CONTENT, Memory, fetch, fetched, names
from tests.origin import OLDER, Origin, Page
from vimeo_api.core.fetching.client import Limits

pytestmark = pytest.mark.usefixtures("nothing_outlives_a_fetch")


@pytest.mark.parametrize(
    "page", [Page(CONTENT), Page(CONTENT, etag=None, modified=OLDER), Page(CONTENT, etag='W/"1"', modified=OLDER)]
)
def test_it_fetches_several_ranges_of_one_version(origin: Origin, page: Page) -> None:
    assert fetched(origin.serve("/file", page)) == CONTENT
    ranges = origin.asked("Range")
    assert ranges[0] == "bytes=0-"
    assert len(set(ranges)) == len(ranges) >= 8
    validator = page.modified or page.etag
    assert origin.asked("If-Range") == [None, *[validator] * (len(ranges) - 1)]
    assert set(origin.asked("Accept-Encoding")) == {"identity"}
    assert set(origin.asked("Host")) == {f"127.0.0.1:{origin.port}"}


@pytest.mark.parametrize("ranges", ["yes", "no"])
def test_it_writes_in_the_given_chunk_size(origin: Origin, ranges: Any) -> None:
    sink = Memory()
    fetch(origin.serve("/file", Page(CONTENT, ranges=ranges)), sink, chunk=10_000)
    assert sink.data == CONTENT
    assert max(end - start for start, end in sink.present) == 10_000


def test_connections_are_reused(origin: Origin) -> None:
    origin.serve("/file", Page(CONTENT, ranges="short"))
    assert fetched(origin.url("/file"), connections=2) == CONTENT
    assert len({request.client for request in origin.requests}) < len(origin.requests) / 2


@pytest.mark.parametrize(
    "page",
    [
        Page(CONTENT, ranges="no"),
        Page(CONTENT, etag=None),
        Page(CONTENT, etag='W/"weak"'),
        Page(CONTENT, etag=None, modified="Mon, 05 Jan 2026 10:00:00 GMT"),  # this very second
        Page(CONTENT, framing="chunked", ranges="no"),
        Page(b"", ranges="no"),
        Page(b""),
        Page(b"x"),
        Page(CONTENT, etag=None, ranges="short"),
    ],
)
def test_it_uses_one_stream_if_ranges_do_not_help_or_are_unsafe(origin: Origin, page: Page) -> None:
    assert fetched(origin.serve("/file", page)) == page.content
    assert len({request.client for request in origin.requests}) <= 2


@pytest.mark.parametrize(
    "page",
    [
        Page(CONTENT, ranges="first"),
        Page(CONTENT, ranges="short"),
        Page(CONTENT, framing="chunked"),
        Page(CONTENT, break_after=30_000),
        Page(CONTENT, statuses=[503, 500, 429]),
        Page(CONTENT, ranges="no", headers={"Accept-Ranges": "bytes"}),
        Page(CONTENT, ranges="no", break_after=30_000, breaks=2),
        Page(CONTENT, ranges="no", framing="chunked", break_after=30_000, breaks=2),
        Page(CONTENT, at_most=2, throttle=2_000_000),
        Page(CONTENT, stall_after=10_000, stalls=3),
    ],
)
def test_it_gets_the_right_bytes_from_unreliable_origins(
    origin: Origin, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vimeo_api.core.fetching.plan.STALL_SECONDS", 0.1)
    assert fetched(origin.serve("/file", page)) == CONTENT


def test_a_stalled_range_is_taken_over(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    # Only other connections that take over end this; a stalled one is waited for for an hour.
    monkeypatch.setattr("vimeo_api.core.fetching.plan.STALL_SECONDS", 0.1)
    url = origin.serve("/file", Page(CONTENT, stall_after=0, stalls=1))
    assert fetched(url, limits=Limits(stall=3600)) == CONTENT


def test_a_stalled_connection_is_retried(origin: Origin) -> None:
    url = origin.serve("/file", Page(CONTENT, stall_after=100_000, stalls=2))
    assert fetched(url, connections=1, limits=Limits(stall=1, backoff=0.001)) == CONTENT
    assert origin.asked("Range") == ["bytes=0-", "bytes=100000-999999", "bytes=200000-999999"]


def test_it_follows_redirects_and_uses_the_last_name_and_host(origin: Origin) -> None:
    origin.serve("/start", Page(location="/middle"))
    origin.serve("/middle", Page(location=origin.url("/the%20end.bin?x=y", host="other.example")))
    origin.serve("/the%20end.bin", Page(CONTENT))
    sink = Memory()
    found = fetch(origin.url("/start"), sink, resolver=names("127.0.0.1"))
    assert sink.data == CONTENT
    assert found.url == f"http://other.example:{origin.port}/the%20end.bin?x=y"
    assert found.name == "the end.bin"
    assert origin.asked("Host")[-1] == f"other.example:{origin.port}"


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (None, "last.bin"),
        ("attachment", "last.bin"),
        ("attachment; filename=plain.txt", "plain.txt"),
        ('attachment; filename="with space; and semicolon.txt"', "with space; and semicolon.txt"),
        ('attachment; filename="a \\"quoted\\".txt"', 'a "quoted".txt'),
        ("attachment; filename=\"fallback.txt\"; filename*=UTF-8''%E2%82%AC%20rates.txt", "€ rates.txt"),
        ("attachment; filename*=iso-8859-1'en'%A3%20rates.txt; filename=x.txt", "£ rates.txt"),
        ("attachment; filename*=utf-7''+AGE-; filename=x.txt", "x.txt"),
        ("attachment; FILENAME=upper.txt", "upper.txt"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\dir\\file.txt"', "file.txt"),
        ("attachment; filename*=UTF-8''..%2F..%2Fpasswd", "passwd"),
        ('attachment; filename=""', "last.bin"),
        ('attachment; filename="отчёт.xls"', "отчёт.xls"),
        ('attachment; filename=".."', "file"),
    ],
)
def test_it_names_the_file(origin: Origin, disposition: str | None, name: str) -> None:
    headers = {"Content-Disposition": disposition.encode().decode("latin-1")} if disposition else {}
    origin.serve("/dir/last.bin", Page(b"x", headers=headers))
    assert fetch(origin.url("/dir/last.bin?query=1"), Memory()).name == name


def test_a_url_without_a_name_is_called_file(origin: Origin) -> None:
    assert fetch(origin.serve("/", Page(b"x")), Memory()).name == "file"
    origin.serve("/start", Page(location="/dir//["))
    origin.serve("/dir//%5B", Page(b"x"))
    assert fetch(origin.url("/start"), Memory()).name == "["


def test_no_url_is_logged(origin: Origin, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    origin.serve("/file", Page(CONTENT))
    fetch(origin.url("/file?token=secret"), Memory())
    assert "secret" not in caplog.text


def test_progress_is_reported_in_the_thread_of_the_caller(origin: Origin) -> None:
    told: list[tuple[int, int | None, str]] = []
    url = origin.serve("/file", Page(CONTENT))
    fetched(url, progress=lambda got, total: told.append((got, total, threading.current_thread().name)))
    assert told[-1] == (len(CONTENT), len(CONTENT), threading.current_thread().name)
    assert [got for got, _, _ in told] == sorted(got for got, _, _ in told)
    assert {thread for _, _, thread in told} == {threading.current_thread().name}


def test_proxies_of_the_environment_are_ignored(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetched(origin.serve("/file", Page(CONTENT))) == CONTENT
