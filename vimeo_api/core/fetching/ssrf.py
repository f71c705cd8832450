"""The SSRF guard of every fetch: which URLs we accept, and which addresses we connect to.

`session` calls it twice per hop: `check_url` parses the URL, `resolve` looks up and checks the addresses. We connect
only to those addresses, without a second lookup, so DNS rebinding gains nothing.
The networks are our own list: `ipaddress.is_global` of Python 3.11 lets NAT64, 6to4, multicast and others through.
Sources: RFC 3986 (URI), RFC 6890 and the IANA special-purpose registries, WHATWG Fetch (blocked ports).
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from vimeo_api.core.errors import PipelineError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[..., Sequence[tuple[Any, ...]]]  # socket.getaddrinfo, or a test's fake

MAX_URL = 8000  # characters; RFC 9110, section 4.1, asks for at least that
_PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"[a-z0-9_-]{1,63}", re.ASCII)
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_MAX_HOST = 253  # characters, in text form; RFC 1035
# Ports of other protocols, some of which would read a request as their own commands.
# fmt: off
_BLOCKED_PORTS = {
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103,
    104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514,
    515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723,
    2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
}
# fmt: on

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(table: str) -> list[tuple[_Network, str]]:
    rows = (line.split(maxsplit=1) for line in table.strip().splitlines())
    return [(ipaddress.ip_network(network), kind) for network, kind in rows]


# Only these can be allowed by a setting.
_PRIVATE = _networks("""
    127.0.0.0/8         a loopback address
    ::1/128             a loopback address
    10.0.0.0/8          a private address
    172.16.0.0/12       a private address
    192.168.0.0/16      a private address
    fc00::/7            a private address
""")
_NEVER = _networks("""
    169.254.0.0/16      a link-local address, where clouds answer with secrets
    168.63.129.16/32    the host of a cloud's virtual machine
    fd00:ec2::/64       an address where a cloud answers with secrets
    0.0.0.0/8           an address of this very network
    100.64.0.0/10       an address shared behind a carrier
    192.0.0.0/24        an address kept for protocols
    192.0.2.0/24        an address kept for documentation
    192.88.99.0/24      a relay from 6to4
    198.18.0.0/15       an address kept for benchmarks
    198.51.100.0/24     an address kept for documentation
    203.0.113.0/24      an address kept for documentation
    224.0.0.0/4         a multicast address
    255.255.255.255/32  the broadcast address
    240.0.0.0/4         a reserved address
    ::ffff:0:0/96       an IPv4 address written as IPv6
    ::/96               an IPv4 address written as IPv6
    64:ff9b::/96        an IPv4 address behind NAT64
    64:ff9b:1::/48      an IPv4 address behind NAT64
    2001::/32           an IPv4 address inside Teredo
    2001:db8::/32       an address kept for documentation
    2001::/23           an address kept for protocols
    2002::/16           an IPv4 address inside 6to4
    3fff::/20           an address kept for documentation
    fe80::/10           a link-local address
    fec0::/10           a site-local address
    ff00::/8            a multicast address
""")
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")  # all that IANA has allocated so far


class UrlRefused(PipelineError):
    """We do not fetch this URL; the message says why."""


class AddressRefused(UrlRefused):
    """The URL is fine, but clients may not reach the address behind it."""

    lasting = False  # the name may resolve to another address tomorrow


class OriginError(PipelineError):
    """The origin or the way to it failed. A transient failure may be tried again, after `retry_after` seconds."""

    lasting = False

    def __init__(self, message: str, *, transient: bool = False, retry_after: float = 0) -> None:
        """Keep what a retry needs to know."""
        super().__init__(message)
        self.transient = transient
        self.retry_after = retry_after


class OriginFailed(OriginError):
    """The origin cannot be found or reached, refuses, or sends nonsense."""


class OriginTooSlow(OriginError):
    """The origin takes longer than the limits allow."""


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL in its parts."""

    scheme: str
    host: str  # ASCII, lower case; an IPv6 address without brackets
    port: int
    path: str  # the request target, query included, as in the request line

    @property
    def url(self) -> str:
        """The URL without its fragment, which no server sees."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def check_url(text: str, *, allow_private: bool) -> Target:
    """Check a client's URL and return its parts. Raises UrlRefused and AddressRefused, with a sentence for the client.

    The host is in the form that getaddrinfo is given: after IDNA 2003 with NFKC, as Python and glibc apply it.
    """
    if len(text) > MAX_URL:
        raise UrlRefused(f"The URL is longer than {MAX_URL} characters.")
    if any(c.isspace() or not c.isprintable() for c in text):
        raise UrlRefused("The URL contains a space or a control character.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UrlRefused("The URL cannot be read.") from error
    if parts.scheme not in _PORTS:
        raise UrlRefused("Only http and https URLs are fetched.")
    if "@" in parts.netloc:
        raise UrlRefused("The URL contains a user name or a password.")
    port = _PORTS[parts.scheme] if port is None else port
    if port in _BLOCKED_PORTS:
        raise UrlRefused(f"Port {port} is not for the web.")
    return Target(parts.scheme, _host(parts, allow_private=allow_private), port, _path(parts))


def resolve(target: Target, *, allow_private: bool, resolver: Resolver = socket.getaddrinfo) -> list[Address]:
    """Return the addresses of a host, all checked, in the resolver's order.

    Raises AddressRefused if clients may not reach one of them, and OriginFailed if there is none. Takes as long as
    resolv.conf(5) allows, at most about half a minute.
    """
    try:
        answers = resolver(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        again = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
        raise OriginFailed(f"{target.host} cannot be found.", transient=again) from error
    addresses = list(dict.fromkeys(ipaddress.ip_address(answer[4][0]) for answer in answers))
    if not addresses:
        raise OriginFailed(f"{target.host} has no address.")
    for address in addresses:
        _check_address(target.host, address, allow_private=allow_private)
    return addresses


def _check_address(host: str, address: Address, *, allow_private: bool) -> None:
    """Raise AddressRefused for an address that clients may not reach; the message does not reveal the address."""
    for kind in _objections(address, allow_private=allow_private):
        raise AddressRefused(f"{host} is or leads to {kind}; nothing is fetched from there.")


def _objections(address: Address, *, allow_private: bool) -> Iterator[str]:
    yield from (kind for network, kind in _NEVER if address in network and not _is_loopback(address))
    private = [kind for network, kind in _PRIVATE if address in network]
    if not allow_private:
        yield from private
    if address.version == 6 and address not in _GLOBAL_IPV6 and not private:  # noqa: PLR2004 -- IPv6
        yield "a reserved address"


def _is_loopback(address: Address) -> bool:
    # ::1 is in ::/96, but belongs to the private networks.
    return address == ipaddress.IPv6Address("::1")


def _host(parts: SplitResult, *, allow_private: bool) -> str:
    host = parts.hostname or ""
    if ":" in host or "[" in parts.netloc:
        return _literal(host, ipaddress.IPv6Address, allow_private=allow_private)
    host = _ascii(host)
    labels = host.split(".")
    if not all(map(_LABEL.fullmatch, labels)) or len(host) > _MAX_HOST:
        raise UrlRefused("The URL names no host that could exist.")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        # WHATWG URL, "ends in a number": getaddrinfo also accepts 2130706433, 0x7f000001 and 127.1.
        return _literal(host, ipaddress.IPv4Address, allow_private=allow_private)
    return host


def _ascii(host: str) -> str:
    try:
        return host[: 4 * _MAX_HOST].encode("idna").decode().lower().removesuffix(".")
    except UnicodeError as error:
        raise UrlRefused("The URL names no host that could exist.") from error


def _literal(host: str, kind: Callable[[str], Address], *, allow_private: bool) -> str:
    try:
        address = kind(host)
    except ValueError as error:
        raise UrlRefused("The URL disguises an address or gives a wrong one.") from error
    if "%" in host:
        raise UrlRefused("The URL names a network interface.")
    _check_address(str(address), address, allow_private=allow_private)
    return str(address)


def _path(parts: SplitResult) -> str:
    """Return the request target in ASCII; percent-encoded parts stay as they are."""
    query = f"?{parts.query}" if parts.query else ""
    return quote((parts.path or "/") + query, safe="%/:=&?~+!$,;'@()*")
