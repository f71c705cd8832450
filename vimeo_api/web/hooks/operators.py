"""Who may see metrics and the details of readiness: requests from the networks in the setting `METRICS_FROM`."""

import ipaddress

from flask import request

from vimeo_api.config.values import listed, networks
from vimeo_api.extensions import settings

# A forwarded request comes from elsewhere than its connection, and anyone can forge these headers.
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP")


def is_operator() -> bool:
    """Return whether the current request comes directly from an allowed address.

    nginx sets REMOTE_ADDR to its peer, whatever the client says; for a Unix socket that is "unix:".
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
    # A socket for both families names IPv4 peers as mapped addresses.
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in networks(settings.metrics_from))
