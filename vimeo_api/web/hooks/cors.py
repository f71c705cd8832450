"""CORS: which other sites' pages may call the API from a browser: none, unless CORS_ORIGINS names them.

Twenty lines instead of Flask-CORS, as nginx has to pass each of these headers on anyway (deploy/nginx). The service
uses no cookies, so none are allowed. Source: the Fetch Standard, https://fetch.spec.whatwg.org/#http-cors-protocol.
"""

from flask import Request, Response

from vimeo_api.extensions import settings
from vimeo_api.web.pipeline import Pipeline

UPLOADS = (
    "Tus-Resumable, Upload-Complete, Upload-Concat, Upload-Defer-Length, Upload-Draft-Interop-Version, Upload-Length, "
    "Upload-Metadata, Upload-Offset"
)
ASKED = (
    "Authorization, Content-Digest, Content-Disposition, Content-MD5, Content-Type, Prefer, Range, Repr-Digest, "
    "Upload-Checksum, X-Download-Grant, X-File-Password, X-HTTP-Method-Override, X-Request-Id, X-Requested-With, "
    f"{UPLOADS}"
)
SHOWN = (
    "Content-Disposition, Location, Repr-Digest, Retry-After, Tus-Checksum-Algorithm, Tus-Extension, Tus-Max-Size, "
    "Tus-Version, Upload-Expires, Upload-Limit, Upload-Result, WWW-Authenticate, X-Download-Grant, X-Manage-Url, "
    f"X-Request-Id, {UPLOADS}"
)
PREFLIGHT_SECONDS = "600"


def init_app(app: Pipeline) -> None:
    """Wire the hook, if origins are named."""
    if not _origins(app.config["SETTINGS"].cors_origins):
        return

    @app.after
    def allow_origin(request: Request, response: Response) -> Response:
        response.vary.add("Origin")
        if is_allowed(request.headers.get("Origin")):
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = SHOWN
            if request.method == "OPTIONS":
                response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
                response.headers["Access-Control-Allow-Headers"] = ASKED
                response.headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
        return response


def is_allowed(origin: str | None) -> bool:
    """Return whether the settings name an origin."""
    return origin is not None and origin in _origins(settings.cors_origins)


def _origins(words: str) -> frozenset[str]:
    return frozenset(filter(None, words.split(",")))
