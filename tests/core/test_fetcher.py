"""Fetching over real sockets from an origin that misbehaves: the right bytes or one clear error, never a wrong file."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.origin import OLDER, Origin, Page, noise, serving
from vimeo_api.core import fetcher
from vimeo_api.core.errors import PipelineError, StorageFull, TooLarge
from vimeo_api.core.fetcher import (
    AddressRefused,
    Cancelled,
    Fetched,
    Limits,
    OriginFailed,
    OriginTooSlow,
    UrlRefused,
    Version,
)
from vimeo_api.core.ranges import Plan, missing
from vimeo_api.core.slots import SLOTS, Slots

CONTENT = noise(1_000_000)
QUICK = Limits(backoff=0.001, retries=3)


class Memory:
    """A sink that keeps everything, and fails where it is told to."""

    def __init__(self, *, fails_after: int | None = None) -> None:
        self.data = bytearray()
        self.present: list[tuple[int, int]] = []
        self.offers: list[tuple[Fetched, bool]] = []
        self.fails_after = fails_after
        self._lock = threading.Lock()

    def spans(self) -> list[tuple[int, int]]:
        return list(self.present)

    def begin(self, offer: Fetched, *, resumed: bool) -> None:
        self.offers.append((offer, resumed))
        if not resumed:
            self.data, self.present = bytearray(), []

    def write_at(self, offset: int, data: memoryview, /) -> None:
        end = offset + len(data)
        with self._lock:
            if self.fails_after is not None and self.written + len(data) > self.fails_after:
                raise StorageFull("No space left on device")
            assert all(end <= a or offset >= b for a, b in self.present), "a byte was written twice"
            self.data.extend(bytes(max(0, end - len(self.data))))
            self.data[offset:end] = data
            self.present.append((offset, end))

    @property
    def written(self) -> int:
        return sum(end - start for start, end in self.present)


@pytest.fixture(autouse=True)
def nothing_outlives_a_fetch() -> Iterator[None]:
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("fetch")]
    assert SLOTS.hosts == set()


fetch = partial(fetcher.fetch, allow_private=True, limits=QUICK)


def fetched(url: str, **options: Any) -> bytes:
    sink = Memory()
    found = fetch(url, sink, **options)
    assert found.version.size == len(sink.data) == sink.written
    return bytes(sink.data)


def names(*answers: str) -> Callable[..., list[tuple[Any, ...]]]:
    """Return a resolver that gives one answer after the other, and the last one from then on."""
    left = list(answers)

    def resolver(_host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (left.pop(0) if len(left) > 1 else left[0], port))]

    return resolver


# What works


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
def test_it_writes_as_many_bytes_at_a_time_as_it_is_told(origin: Origin, ranges: Any) -> None:
    sink = Memory()
    fetch(origin.serve("/file", Page(CONTENT, ranges=ranges)), sink, chunk=10_000)
    assert sink.data == CONTENT
    assert max(end - start for start, end in sink.present) == 10_000


def test_connections_are_used_again(origin: Origin) -> None:
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
def test_one_stream_is_enough(origin: Origin, page: Page) -> None:
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
def test_it_gets_the_right_bytes_all_the_same(origin: Origin, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vimeo_api.core.ranges.PATIENCE", 0.1)
    assert fetched(origin.serve("/file", page)) == CONTENT


def test_a_range_that_stands_still_is_taken_over(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing but others taking over ends this: a stalled connection would be waited for for an hour.
    monkeypatch.setattr("vimeo_api.core.ranges.PATIENCE", 0.1)
    url = origin.serve("/file", Page(CONTENT, stall_after=0, stalls=1))
    assert fetched(url, limits=Limits(stall=3600)) == CONTENT


def test_one_connection_that_stalls_is_tried_again(origin: Origin) -> None:
    url = origin.serve("/file", Page(CONTENT, stall_after=100_000, stalls=2))
    assert fetched(url, connections=1, limits=Limits(stall=0.1, backoff=0.001)) == CONTENT
    assert origin.asked("Range") == ["bytes=0-", "bytes=100000-999999", "bytes=200000-999999"]


def test_it_follows_redirects_and_takes_name_and_host_of_the_last(origin: Origin) -> None:
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


def test_a_url_without_a_name_is_a_file(origin: Origin) -> None:
    assert fetch(origin.serve("/", Page(b"x")), Memory()).name == "file"
    origin.serve("/start", Page(location="/dir//["))
    origin.serve("/dir//%5B", Page(b"x"))
    assert fetch(origin.url("/start"), Memory()).name == "["


def test_no_url_is_logged(origin: Origin, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    origin.serve("/file", Page(CONTENT))
    fetch(origin.url("/file?token=secret"), Memory())
    assert "secret" not in caplog.text


def test_progress_is_told_in_the_callers_thread(origin: Origin) -> None:
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


# Clear errors


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
        (Page(CONTENT, headers={"Content-Encoding": "gzip"}), r"compresses"),
        (Page(CONTENT, ranges="no", headers={"Content-Length": "7"}), r"no credible length"),
        (Page(location="/file"), r"redirects more than 5 times"),
        (Page(location=""), r"redirects to nowhere"),
        (Page(huge_header=True), r"headers"),
    ],
)
def test_it_says_what_the_origin_did(origin: Origin, page: Page, sentence: str) -> None:
    sink = Memory()
    with pytest.raises(OriginFailed, match=sentence):
        fetch(origin.serve("/file", page), sink)


def test_it_asks_a_failing_origin_a_bounded_number_of_times(origin: Origin) -> None:
    with pytest.raises(OriginFailed):
        fetch(origin.serve("/file", Page(statuses=[500] * 99)), Memory())
    assert len(origin.requests) == 1 + QUICK.retries
    with pytest.raises(OriginFailed):
        fetch(origin.serve("/other", Page(statuses=[404] * 99)), Memory())
    assert len(origin.requests) == 2 + QUICK.retries


def test_it_follows_a_bounded_number_of_redirects(origin: Origin) -> None:
    with pytest.raises(OriginFailed):
        fetch(origin.serve("/file", Page(location="/file")), Memory())
    assert len(origin.requests) == 1 + QUICK.redirects


def test_nobody_listening_is_the_origins_fault() -> None:
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
        (Page(dripping=True), Limits(total=0.3)),
    ],
)
def test_a_slow_origin_is_given_up(origin: Origin, page: Page, limits: Limits) -> None:
    with pytest.raises(OriginTooSlow):
        fetch(origin.serve("/file", page), Memory(), limits=limits)


@pytest.mark.parametrize("ranges", ["yes", "no"])
def test_an_announced_size_is_refused_before_the_first_byte(origin: Origin, ranges: Any) -> None:
    sink = Memory()
    with pytest.raises(TooLarge, match="999999"):
        fetch(origin.serve("/file", Page(CONTENT, ranges=ranges)), sink, limits=Limits(max_bytes=999_999))
    assert sink.offers == []
    assert fetched(origin.url("/file"), limits=Limits(max_bytes=1_000_000)) == CONTENT


def test_a_size_that_shows_late_is_refused_then(origin: Origin) -> None:
    sink = Memory()
    with pytest.raises(TooLarge):
        fetch(origin.serve("/file", Page(CONTENT, ranges="no", framing="chunked")), sink, limits=Limits(max_bytes=9999))
    assert sink.written <= 9999


@pytest.mark.parametrize("ranges", ["yes", "no"])
def test_it_can_be_cancelled_while_the_origin_says_nothing(origin: Origin, ranges: Any) -> None:
    sink = Memory()
    with pytest.raises(Cancelled):
        fetch(
            origin.serve("/file", Page(CONTENT, stall_after=10, ranges=ranges)),
            sink,
            cancelled=lambda: sink.written > 0,
            limits=Limits(stall=3600, idle=3600),
        )


@pytest.mark.parametrize("ranges", ["yes", "no"])
def test_the_sinks_own_errors_end_it(origin: Origin, ranges: Any) -> None:
    with pytest.raises(StorageFull):
        fetch(origin.serve("/file", Page(CONTENT, ranges=ranges)), Memory(fails_after=500_000))


# Resuming


def test_it_fetches_only_what_is_missing(origin: Origin) -> None:
    url = origin.serve("/file", Page(CONTENT))
    sink = Memory(fails_after=600_000)
    with pytest.raises(StorageFull):
        fetch(url, sink)
    version = sink.offers[0][0].version
    gaps, sink.fails_after = missing(len(CONTENT), sink.present), None
    fetch(origin.serve("/again", Page(CONTENT)), sink, resume=version)
    assert sink.data == CONTENT
    assert [resumed for _, resumed in sink.offers] == [False, True]
    again = [request.headers["range"] for request in origin.requests if request.path == "/again"]
    asked = [tuple(map(int, text[6:].split("-"))) for text in again if text != "bytes=0-"]
    assert asked
    assert all(any(start <= first <= last < end for start, end in gaps) for first, last in asked)


@pytest.mark.parametrize("page", [Page(CONTENT, etag='"other"'), Page(CONTENT[:-1]), Page(CONTENT, ranges="no")])
def test_it_fetches_all_anew_when_the_version_is_another(origin: Origin, page: Page) -> None:
    sink = Memory()
    sink.data, sink.present = bytearray(b"x" * 2_000_000), [(0, 500_000), (600_000, 2_000_000)]
    fetch(origin.serve("/file", page), sink, resume=Version(len(CONTENT), '"one"'))
    assert sink.data == page.content
    assert [resumed for _, resumed in sink.offers] == [False]


def test_versions_that_come_and_go_are_not_mixed(origin: Origin) -> None:
    # As several hosts behind one name do it, of which some have the new version, and not all give ranges.
    other = Page(noise(1_000_001)[1:], etag='"two"', ranges="no", break_after=300_000)
    url = origin.serve("/file", Page(CONTENT, first=[other]))
    sink = Memory()
    sink.data, sink.present = bytearray(CONTENT[:500_000]), [(0, 500_000)]
    fetch(url, sink, resume=Version(len(CONTENT), '"one"'))
    assert sink.data == CONTENT


def test_what_broke_goes_on_in_ranges_where_the_origin_gives_them_now(origin: Origin) -> None:
    broken = Page(CONTENT, ranges="no", break_after=300_000)
    sink = Memory()
    fetch(origin.serve("/file", Page(CONTENT, first=[broken])), sink)
    assert sink.data == CONTENT
    assert [resumed for _, resumed in sink.offers] == [False, True]


def test_a_part_of_another_version_is_never_taken(origin: Origin) -> None:
    with pytest.raises(OriginFailed, match="changed the file"):
        fetched(origin.serve("/file", Page(CONTENT, ranges="blind", changes_after=1)))


def test_a_part_that_does_not_say_its_version_is_not_trusted(origin: Origin) -> None:
    page = Page(CONTENT, ranges="blind and mute", changes_after=1)
    assert fetched(origin.serve("/file", page)) == bytes(byte ^ 0xFF for byte in CONTENT)


def test_nothing_is_fetched_twice_when_all_is_there(origin: Origin) -> None:
    sink = Memory()
    sink.data, sink.present = bytearray(CONTENT), [(500_000, 1_000_000), (0, 500_000)]
    fetch(origin.serve("/file", Page(CONTENT)), sink, resume=Version(len(CONTENT), '"one"'))
    assert sink.data == CONTENT
    assert origin.asked("Range") == ["bytes=0-"]


# The guard


DISGUISES = [
    "http://127.0.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://017700000001/",
    "http://127.1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://10.0.0.1/",
    "//127.0.0.1/",
    "http://user@example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "http://example.com:25/",
    "http://[::1/",
]


@pytest.fixture
def public(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> str:
    """A public address at which the origin answers, and nobody else does."""
    address, connect = "93.184.216.34", socket.socket.connect

    def connect_nowhere_else(self: socket.socket, place: tuple[str, int]) -> None:
        assert place == (address, origin.port)
        connect(self, ("127.0.0.1", origin.port))

    monkeypatch.setattr(socket.socket, "connect", connect_nowhere_else)
    return address


@pytest.mark.parametrize("location", DISGUISES)
def test_a_redirect_to_a_disguised_address_is_refused(origin: Origin, public: str, location: str) -> None:
    origin.serve("/file", Page(location=location.encode().decode("latin-1")))
    url = origin.url("/file", host="name.example")
    with pytest.raises(UrlRefused, match=r" .*\.$"):
        fetch(url, Memory(), allow_private=False, resolver=names(public))


@pytest.mark.parametrize("url", [*DISGUISES, "http://example.com/\r\nX-Injected: 1"])
def test_nothing_is_connected_to_for_a_url_that_is_refused(public: str, url: str) -> None:
    with pytest.raises(UrlRefused):
        fetch(url, Memory(), allow_private=False)


def test_the_address_that_was_checked_is_the_one_connected_to(origin: Origin, public: str) -> None:
    # The name means another address from the second question on; it is not asked.
    origin.serve("/file", Page(CONTENT, break_after=100_000))
    url = origin.url("/file", host="name.example")
    assert fetched(url, allow_private=False, resolver=names(public, "127.0.0.1")) == CONTENT
    assert set(origin.asked("Host")) == {f"name.example:{origin.port}"}
    with pytest.raises(AddressRefused):
        fetch(url, Memory(), allow_private=False, resolver=names("127.0.0.1"))


def test_a_redirect_to_a_name_that_leads_inside_is_refused(origin: Origin, public: str) -> None:
    origin.serve("/file", Page(location=origin.url("/secret", host="inside.example")))
    url = origin.url("/file", host="name.example")
    with pytest.raises(AddressRefused, match=r"inside\.example .* loopback"):
        fetch(url, Memory(), allow_private=False, resolver=names(public, "127.0.0.1"))
    assert len(origin.requests) == 1


# TLS


def test_the_certificate_is_checked_against_the_name_and_not_the_address(certified: ssl.SSLContext) -> None:
    asked: list[str | None] = []
    certified.sni_callback = lambda _socket, name, _context: asked.append(name)
    with serving(certified) as origin:
        origin.serve("/file", Page(CONTENT, break_after=100_000))
        good = partial(origin.url, "/file", scheme="https")
        assert fetched(good(host="good.example"), resolver=names("127.0.0.1")) == CONTENT
        assert set(asked) == {"good.example"}
        for host in ("bad.example", "127.0.0.1"):
            with pytest.raises(OriginFailed, match=f"{host} has no valid certificate"):
                fetch(good(host=host), Memory(), resolver=names("127.0.0.1"))


def test_a_certificate_that_nobody_trusts_is_refused(
    certified: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with serving(certified) as origin:
        url = origin.url("/file", host="good.example", scheme="https")
        with pytest.raises(OriginFailed, match="certificate"):
            fetch(url, Memory(), resolver=names("127.0.0.1"))
        assert origin.requests == []


def test_https_does_not_redirect_to_http(certified: ssl.SSLContext, origin: Origin) -> None:
    origin.serve("/file", Page(CONTENT))
    with serving(certified) as secure:
        secure.serve("/file", Page(location=origin.url("/file", host="good.example")))
        secure_url = secure.url("/file", host="good.example", scheme="https")
        with pytest.raises(UrlRefused, match="from https to http"):
            fetch(secure_url, Memory(), resolver=names("127.0.0.1"))
        origin.serve("/up", Page(location=secure_url))
        secure.serve("/file", Page(CONTENT))
        assert fetched(origin.url("/up"), resolver=names("127.0.0.1")) == CONTENT
    assert len(origin.requests) == 1


def test_tls_can_be_cancelled_while_the_origin_says_nothing(certified: ssl.SSLContext) -> None:
    sink = Memory()
    with serving(certified) as origin, pytest.raises(Cancelled):
        origin.serve("/file", Page(CONTENT, stall_after=10))
        fetch(
            origin.url("/file", host="good.example", scheme="https"),
            sink,
            resolver=names("127.0.0.1"),
            cancelled=lambda: sink.written > 0,
            limits=Limits(stall=3600, idle=3600),
        )


# Politeness


def test_all_fetches_together_keep_to_the_connections_of_one_host(origin: Origin) -> None:
    url = origin.serve("/file", Page(CONTENT, throttle=2_000_000))
    limits = Limits(per_host=3)
    with ThreadPoolExecutor(6, thread_name_prefix="client") as clients:
        assert set(clients.map(lambda _: fetched(url, limits=limits), range(6))) == {CONTENT}
    assert 1 < origin.busiest <= 3


class Nowhere(Memory):
    def write_at(self, offset: int, data: memoryview, /) -> None:
        pass


def test_a_big_fetch_gives_way_to_a_new_one(origin: Origin) -> None:
    # The big one has all connections, and would need minutes for any of its ranges.
    big = origin.serve("/big", Page(CONTENT * 64, throttle=100_000))
    small = origin.serve("/small", Page(b"small"))
    done, started = threading.Event(), threading.Event()
    limits = Limits(per_host=4, stall=3600)

    def look(got: int, _total: int | None) -> None:
        if got and origin.busiest == limits.per_host:
            started.set()

    with ThreadPoolExecutor(1, thread_name_prefix="client") as client, pytest.raises(Cancelled):
        future = client.submit(fetch, big, Nowhere(), limits=limits, progress=look, cancelled=done.is_set)
        assert started.wait(60)
        assert fetched(small, limits=limits) == b"small"
        done.set()
        future.result()


def test_the_first_connection_of_a_fetch_goes_before_extra_ones() -> None:
    slots, never, extra = Slots(), threading.Event(), threading.Event()
    held = slots.acquire("host", 1, first=True, stopped=never)
    assert held

    def take(limit: int, taken: threading.Event, *, first: bool) -> None:
        slot = slots.acquire("host", limit, first=first, stopped=never)
        assert slot
        assert taken is not extra or not slots.wanted("host")
        taken.set()
        slot.release()

    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(take, 1, threading.Event(), first=True)
        while not slots.wanted("host"):
            assert not one.done()
        two = threads.submit(take, 9, extra, first=False)
        assert not extra.wait(0.2)  # there is room for it, but somebody has the right of way
        held.release()
        one.result()
        two.result()
    assert slots.hosts == set()


# The plan


def test_every_byte_is_planned_once_however_it_is_shared() -> None:
    plan, written = Plan(1_000_000, [(5, 10), (900_000, 2_000_000)], parts=3), [(5, 10), (900_000, 1_000_000)]
    held = []
    while not plan.complete:
        if (span := plan.take()) is not None:
            held.append((span, plan.working(span)))
            held[-1][1].__enter__()
        span, working = held.pop(0)
        offset, wanted = plan.claim(span, 70_001)
        written.append((offset, offset + wanted))
        plan.wrote(wanted)
        working.__exit__(None, None, None)
    written.sort()
    assert [start for start, _ in written if _ > start][1:] == [end for start, end in written if end > start][:-1]
    assert plan.take() is None


def test_all_errors_are_ones_that_a_client_is_told() -> None:
    for error in (AddressRefused, Cancelled, OriginFailed, OriginTooSlow, UrlRefused):
        assert issubclass(error, PipelineError)
