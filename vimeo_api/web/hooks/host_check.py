"""Which Host a request may name: what can be one, for links are made from it.

nginx and werkzeug both let more pass than a host can be. Which of the possible names are ours is the operator's to say,
by `server_name`; a link made from another one goes back only to who sent it, and no cache keeps one.
Sources: RFC 9110 section 7.2 (Host), RFC 3986 section 3.2.2, RFC 1035 section 2.3.4.
"""

import ipaddress
import re
from functools import lru_cache

from flask import Flask, request

from vimeo_api.core.errors import Malformed

MAX_HOST_NAME = 253  # characters
_HOST_NAME = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})\.)*[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})\.?")
_AUTHORITY = re.compile(r"(?P<host>\[(?P<six>[0-9A-Fa-f:.]+)\]|[^\[\]:]+)(?::(?P<port>[0-9]{0,5}))?")
_LAST_PORT = 65535


class OddHost(Malformed):
    """The Host header names no host; the same request with another one is a different matter, so nobody keeps this."""

    lasting = False


def init_app(app: Flask) -> None:
    """Wire the hook."""

    @app.before_request
    def refuse_odd_host() -> None:
        host = request.environ.get("HTTP_HOST")
        if host is not None and not is_host(host):
            raise OddHost("The Host header names no host.")


@lru_cache(maxsize=256)
def is_host(text: str) -> bool:
    """Return whether a text is a host name or an address, with or without a port."""
    match = _AUTHORITY.fullmatch(text)
    if match is None or int(match["port"] or 0) > _LAST_PORT:
        return False
    if match["six"]:
        return _is_ipv6(match["six"])
    return len(text) <= MAX_HOST_NAME and bool(_HOST_NAME.fullmatch(match["host"]))


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
