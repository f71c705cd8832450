"""Who may see the service from inside: requests from where the setting `METRICS_FROM` says."""

import ipaddress

from flask import request

from vimeo_api.config.values import listed, networks
from vimeo_api.extensions import settings

# Whoever was forwarded is not where the connection comes from, and where it says it is anyone can write down.
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP")


def is_operator() -> bool:
    """Return whether the current request comes straight from an address that the settings allow.

    nginx names its peer in REMOTE_ADDR, whatever the client says; "unix:" is that of a socket.
    """
    if any(name in request.headers for name in _FORWARDED):
        return False
    peer = request.remote_addr or ""
    if peer.startswith("unix:"):
        return "unix" in listed(settings.metrics_from)
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    # A socket for both families names IPv4 peers so.
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in networks(settings.metrics_from))
