"""Who sends the current request, for what is counted or shared out: `rate_limits`, `admission` and `bodies` ask."""

import ipaddress

from flask import g, request

from vimeo_api.core.access.api_tokens import Holder


def address() -> str:
    """Return the address of the current request."""
    return request.remote_addr or "unknown"


def client() -> str:
    """Return the client that uploads: the token that `hooks.auth` has admitted, else its address.

    Of an IPv6 address the first 64 bits count: the others are the client's own to choose.
    """
    holder: Holder | None = g.get("holder")
    return _network(address()) if holder is None else f"token {holder.id}"


def _network(text: str) -> str:
    try:
        found = ipaddress.IPv6Address(text)
    except ValueError:
        return text
    return str(found.ipv4_mapped or ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
