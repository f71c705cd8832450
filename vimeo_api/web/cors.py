"""Which other sites' pages may ask from a browser: none, unless CORS_ORIGINS names them.

Twenty lines instead of Flask-CORS, for the answer's own headers have to pass nginx anyway (deploy/nginx). No
cookies are asked for, so none are allowed. Source: the Fetch Standard, https://fetch.spec.whatwg.org/#http-cors-protocol.
"""

from flask import Flask, Response, request

ASKED = "Authorization, Content-Type, Prefer, Range, X-Download-Grant, X-File-Password"
SHOWN = "Content-Disposition, Location, Repr-Digest, Retry-After, WWW-Authenticate, X-Download-Grant"
PREFLIGHT_SECONDS = "600"


def init_app(app: Flask) -> None:
    """Wire the hook, where origins are named."""
    origins = frozenset(filter(None, app.config["SETTINGS"].cors_origins.split(",")))
    if not origins:
        return

    @app.after_request
    def allow_origin(response: Response) -> Response:
        response.vary.add("Origin")
        if request.headers.get("Origin") in origins:
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = SHOWN
            if request.method == "OPTIONS":
                response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
                response.headers["Access-Control-Allow-Headers"] = ASKED
                response.headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
        return response
