"""Refuse a request in which a header that has one value comes twice and says two things: 400.

nginx passes each header as often as it came, and uWSGI keeps the last one. So nginx also passes the first of each, and
the hook compares; in the middle of three could be another one, which then counts for nothing. The embedded server does
the same. Lists (`Upload-Metadata`, `Content-Digest`, `Repr-Digest`) may come in several lines by RFC 9110, 5.3, but
the service would see only one, so they are refused, too. nginx 1.23 and newer joins the values by commas: for it this
hook finds nothing, and a number that came twice is none.

nginx itself, and `embedded.framing`, refuse what is in `framing.ONCE`. Sources: RFC 9110, 5.3; ngx_http_request.c.
"""

from typing import Any

from flask import Request

from vimeo_api.core.errors import Malformed
from vimeo_api.web.pipeline import Pipeline
from vimeo_api.web.receiving import bodies

# In the order of $vimeo_api_first in deploy/nginx/vimeo_api/maps/requests.conf.
NAMES = (
    "Content-Digest",
    "Content-Disposition",
    "Content-MD5",
    "Content-Type",
    "Repr-Digest",
    "Tus-Resumable",
    "Upload-Checksum",
    "Upload-Complete",
    "Upload-Concat",
    "Upload-Defer-Length",
    "Upload-Draft-Interop-Version",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    "X-Download-Grant",
    "X-File-Password",
    "X-HTTP-Method-Override",
)
KEYS = tuple(f"HTTP_{name.upper().replace('-', '_')}" for name in NAMES)  # in the WSGI environment
VARIABLE = "X_FIRST_HEADERS"  # the first of each, joined; no client can set it, as its headers begin with HTTP_ there
SEPARATOR = "|"


class Repeated(Malformed):
    """A header says two things. Not cached, as the same request with one of them may succeed."""

    lasting = False


def init_app(app: Pipeline) -> None:
    """Wire the hook."""

    @app.before
    def refuse_two_values(request: Request) -> None:
        first = request.environ.get(VARIABLE)  # nginx's second server does not pass it: it only passes plain GETs
        if first is not None and first != (last := _last(request.environ)):
            bodies.drain()
            raise Repeated(f"{_differing(first, last)} comes twice, with two values.")


def _last(environ: dict[str, Any]) -> str:
    return SEPARATOR.join([environ.get(key, "") for key in KEYS])


def _differing(first: str, last: str) -> str:
    """Return the name of a header whose first and last value differ."""
    pairs = zip(NAMES, first.split(SEPARATOR), last.split(SEPARATOR), strict=False)
    return next((name for name, one, other in pairs if one != other), "A header")
