"""Determine the host of a request, in one function, for links, for origins and for the check of `HOSTS`.

A host is written in one way here: in lower case, without a trailing dot, without leading zeros in the port, and without
the port that the scheme has anyway. werkzeug accepts other hosts than nginx, and has "" for those it does not accept.
Sources: RFC 9110 section 7.2 (Host), RFC 3986 section 3.2.2, RFC 1035 section 2.3.4, RFC 6454 (Origin).
"""

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from vimeo_api.config.values import is_host_name

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_AUTHORITY = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{0,5}))?")
_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65535


def of(environ: "WSGIEnvironment") -> str | None:
    """Return the host of a request, None if its Host header is not one; without the header, the server's address."""
    asked = environ.get("HTTP_HOST")
    if asked is None:
        name = environ["SERVER_NAME"]
        asked = f"[{name}]:{environ['SERVER_PORT']}" if ":" in name else f"{name}:{environ['SERVER_PORT']}"
    return written(asked.strip(" \t"), environ["wsgi.url_scheme"])


def of_origin(origin: str) -> str | None:
    """Return the host of an Origin header, None if it has none, as `null`."""
    scheme, _, host = origin.partition("://")
    return written(host, scheme.lower())


@lru_cache(maxsize=256)
def written(text: str, scheme: str) -> str | None:
    """Return a host and port as they are written here, None if the text is not a host."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    name = _address(match["six"]) if match["six"] else match["name"].lower().removesuffix(".")
    port = int(match["port"]) if match["port"] else _PORTS.get(scheme)
    if name is None or not (match["six"] or is_host_name(name)) or port == 0 or (port or 0) > _LAST_PORT:
        return None
    return name if port == _PORTS.get(scheme) else f"{name}:{port}"


def _address(text: str) -> str | None:
    try:
        return f"[{ipaddress.IPv6Address(text)}]"
    except ValueError:
        return None


def is_ours(host: str, names: frozenset[str]) -> bool:
    """Return whether the setting HOSTS names a host, or it is this machine's own (`localhost`, 127.0.0.1, ::1)."""
    name = host.rpartition("]")[0].removeprefix("[") or host.partition(":")[0]
    if "*" in names or name in names:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        parents = [name[at:] for at, letter in enumerate(name) if letter == "."]
        return name == "localhost" or not names.isdisjoint(parents) or ".localhost" in parents
    return "addresses" in names or address.is_loopback
