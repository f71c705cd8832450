"""The SSRF guard: a refused URL or address gets a clear message, however it is disguised."""

import ipaddress
import socket
from typing import Any

import pytest

from vimeo_api.core.fetching.ssrf import AddressRefused, OriginFailed, Target, UrlRefused, check_url, resolve

REFUSED_URLS = [
    "",
    "example.com/file",
    "//example.com/file",
    "file:///etc/passwd",
    "gopher://example.com/1",
    "ftp://example.com/file",
    "data:text/plain,hello",
    "http:///file",
    "http://",
    "http://user@example.com/",
    "http://user:password@example.com/",
    "http://@example.com/",
    "http://example.com\\@127.0.0.1/",
    "http://example.com/a b",
    " http://example.com/",
    "http://example.com/\r\nHost: other",
    "http://example.com/\nX: y",
    "http://exam\tple.com/",
    "http://example.com/\x00",
    "http://example.com/\u2028",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:-1/",
    "http://example.com:port/",
    "http://example.com:22/",
    "http://example.com:25/",
    "http://example.com:6667/",
    "http://exa%6dple.com/",
    "http://127.0.0.%31/",
    "http://exam!ple.com/",
    "http://example..com/",
    "http://" + "a" * 64 + ".com/",
    "http://" + "a." * 200 + "com/",
    "http://example.com/" + "a" * 8000,
    "http://[::1/",
    "http://[fe80::1%25eth0]/",
    "http://[2606:4700::1111%25eth0]/",
    "http://[v1.x]/",
    "http://\N{ACCOUNT OF}example.com/",
    # Addresses in disguise.
    "http://2130706433/",
    "http://134744072/",
    "http://017700000001/",
    "http://0x7f000001/",
    "http://0X7F.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0177.0.0.1/",
    "http://127.0.0.0x1/",
    "http://127.0.0.1./",
    "http://127.0.0.01/",
    "http://1.2.3.4.5/",
    "http://256.1.1.1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://１２７.0.0.1/",  # noqa: RUF001 -- meant to look alike
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[0:0:0:0:0:ffff:7f00:1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[::127.0.0.1]/",
    "http://[::]/",
    "http://0/",
    "http://0.0.0.0/",
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1/",
    "http://10.0.0.1/",
    "http://[::1]/",
]

NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:0:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PRIVATE = ["127.0.0.1", "127.255.255.255", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "::1", "fd12::1"]
PUBLIC = ["8.8.8.8", "172.32.0.1", "100.128.0.1", "198.20.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1"]
TARGET = Target("http", "name.example", 80, "/")


class Names:
    """A resolver that answers what it is told to, and counts the questions."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.questions: list[tuple[Any, ...]] = []

    def __call__(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.questions.append((host, port))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_it_refuses_with_a_sentence(url: str) -> None:
    with pytest.raises(UrlRefused, match=r"^[A-Za-z0-9:].* .*\.$"):
        check_url(url, allow_private=False)


def test_it_never_repeats_a_password() -> None:
    with pytest.raises(UrlRefused) as refused:
        check_url("http://user:secret@example.com/", allow_private=False)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("allow_private", [False, True])
def test_no_setting_opens_a_special_address(address: str, *, allow_private: bool) -> None:
    with pytest.raises(
        AddressRefused, match=r"name\.example is or leads to an? .*\.|the host of a cloud|the broadcast"
    ):
        resolve(TARGET, allow_private=allow_private, resolver=Names(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_a_setting_opens_private_addresses(address: str) -> None:
    with pytest.raises(AddressRefused, match=r"a (private|loopback) address"):
        resolve(TARGET, allow_private=False, resolver=Names(address))
    assert resolve(TARGET, allow_private=True, resolver=Names(address)) == [ipaddress.ip_address(address)]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_open(address: str) -> None:
    assert resolve(TARGET, allow_private=False, resolver=Names(address)) == [ipaddress.ip_address(address)]


def test_one_bad_address_refuses_the_name() -> None:
    for bad in ("127.0.0.1", "169.254.169.254", "64:ff9b::1"):
        with pytest.raises(AddressRefused):
            resolve(TARGET, allow_private=False, resolver=Names("8.8.8.8", "2606:4700::1111", bad))


def test_it_returns_each_address_once_in_the_resolvers_order() -> None:
    names = Names("2606:4700::1111", "8.8.8.8", "2606:4700::1111")
    assert [str(a) for a in resolve(TARGET, allow_private=False, resolver=names)] == ["2606:4700::1111", "8.8.8.8"]
    assert names.questions == [("name.example", 80)]


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"])
def test_the_systems_interpretation_of_a_host_is_checked_too(host: str) -> None:
    # Whatever check_url might let through: the address decides.
    with pytest.raises(AddressRefused):
        resolve(Target("http", host, 80, "/"), allow_private=False)


def test_a_refused_address_is_not_shown_to_the_client() -> None:
    with pytest.raises(AddressRefused) as refused:
        resolve(TARGET, allow_private=False, resolver=Names("10.11.12.13"))
    assert "10.11.12.13" not in str(refused.value)


def test_a_name_without_address_is_the_origins_fault() -> None:
    def unknown(*_: object, **__: object) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    for resolver in (unknown, Names()):
        with pytest.raises(OriginFailed, match=r"name\.example (cannot be found|has no address)\."):
            resolve(TARGET, allow_private=False, resolver=resolver)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("http://Example.COM", "http://example.com/"),
        ("HTTPS://example.com:443/a?b=c#d", "https://example.com/a?b=c"),
        ("http://example.com.:8080/", "http://example.com:8080/"),
        ("http://bücher.example/ä?ö=é", "http://xn--bcher-kva.example/%C3%A4?%C3%B6=%C3%A9"),
        ("http://ＥＸＡＭＰＬＥ.com/", "http://example.com/"),  # noqa: RUF001 -- meant to look alike
        ("http://my_host.example/a%20b%2Fc", "http://my_host.example/a%20b%2Fc"),
        ("http://8.8.8.8:81/", "http://8.8.8.8:81/"),
        ("http://[2606:4700:0:0::1111]:81/", "http://[2606:4700::1111]:81/"),
        ('http://example.com/"<x>', "http://example.com/%22%3Cx%3E"),
        ("http://example.com?q", "http://example.com/?q"),
    ],
)
def test_it_normalizes_urls(url: str, normal: str) -> None:
    assert check_url(url, allow_private=False).url == normal


def test_loopback_is_open_where_the_setting_allows_it() -> None:
    for host in ("127.0.0.1", "[::1]", "192.168.1.1", "localhost"):
        assert check_url(f"http://{host}:8080/", allow_private=True).port == 8080
