"""Who sends the current request, for what is counted or shared out: `rate_limits`, `admission` and `bodies` ask."""

from flask import g, request

from vimeo_api.core.access.api_tokens import Holder


def address() -> str:
    """Return the address of the current request."""
    return request.remote_addr or "unknown"


def client() -> str:
    """Return the client that uploads: the token that `hooks.auth` has admitted, else its address."""
    holder: Holder | None = g.get("holder")
    return address() if holder is None else f"token {holder.id}"
