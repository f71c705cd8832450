"""Refuse Host headers that are not valid hosts, because links are made from them.

nginx and werkzeug both accept more than a host can be. Which valid hosts are ours, the operator says with nginx's
`server_name`; a link made from another host goes back only to the client that sent it, and is never cached.
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
    """The Host header is not a valid host. Not cached, as the same request with another Host may succeed."""

    lasting = False


def init_app(app: Flask) -> None:
    """Wire the hook."""

    @app.before_request
    def refuse_odd_host() -> None:
        host = request.environ.get("HTTP_HOST")
        if host is not None and not is_host(host):
            raise OddHost("The Host header is not a valid host.")


@lru_cache(maxsize=256)
def is_host(text: str) -> bool:
    """Return whether a text is a host name or an IP address, with or without a port."""
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
