"""CSRF: refuse requests that change something and come from a page of another site.

The service sets no cookies, but a visitor's browser may reach a service on its own host or network that the page's
author cannot. Programs send no origin and pass. So do pages of the origins in CORS_ORIGINS, and requests with a Bearer
token: a browser never adds one by itself, and lets a foreign page add one only if `cors` allows it.
Source: the Fetch Metadata Request Headers (Sec-Fetch-Site), RFC 6454 (Origin), and Go's net/http.CrossOriginProtection.
"""

from flask import Request
from werkzeug.exceptions import Forbidden

from vimeo_api.web import hosts
from vimeo_api.web.hooks import auth, cors
from vimeo_api.web.pipeline import Pipeline

_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN = frozenset({"same-origin", "none"})  # none: the user's own action, such as opening a bookmark


def init_app(app: Pipeline) -> None:
    """Wire the hook."""

    @app.before
    def refuse_foreign_pages(request: Request) -> None:
        if request.method not in _HARMLESS and _foreign(request) and auth.bearer() is None:
            raise Forbidden("A page of another site sent this request.")


def _foreign(request: Request) -> bool:
    if cors.is_allowed(request.headers.get("Origin")):
        return False
    # Browsers send Sec-Fetch-Site over https and to localhost, and Origin always.
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in _OWN
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    host = hosts.of_origin(origin)  # None for `null`, which is every sandboxed frame's: equal to nothing
    return host is None or host != hosts.of(request.environ)
