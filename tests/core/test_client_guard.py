"""Fetching only from allowed places: addresses, redirects, names and certificates."""

import socket
import ssl
from functools import partial

import pytest

from tests.core.fetching import CONTENT, Memory, fetch, fetched, names
from tests.origin import Origin, Page, serving
from vimeo_api.core.fetching.client import AddressRefused, Cancelled, Limits, OriginFailed, UrlRefused

pytestmark = pytest.mark.usefixtures("nothing_outlives_a_fetch")

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
def test_a_refused_url_opens_no_connection(public: str, url: str) -> None:
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


def test_a_redirect_to_a_name_with_a_private_address_is_refused(origin: Origin, public: str) -> None:
    origin.serve("/file", Page(location=origin.url("/secret", host="inside.example")))
    url = origin.url("/file", host="name.example")
    with pytest.raises(AddressRefused, match=r"inside\.example .* loopback"):
        fetch(url, Memory(), allow_private=False, resolver=names(public, "127.0.0.1"))
    assert len(origin.requests) == 1


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


def test_an_untrusted_certificate_is_refused(certified: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_tls_handshake_can_be_cancelled_while_the_origin_is_silent(certified: ssl.SSLContext) -> None:
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
