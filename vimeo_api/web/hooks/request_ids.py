"""The id of each request: made by nginx or the embedded server, and sent to the client in `X-Request-Id`.

A client's own `X-Request-Id` is ignored: clients must not choose what our logs say. In production nginx sends the
header: it answers many requests without us, and a cached response must not carry the id of an earlier request.
"""

import uuid

from flask import Request, Response

from vimeo_api import logs
from vimeo_api.web.pipeline import Pipeline

REQUEST_ID_HEADER = "X-Request-Id"
VARIABLE = "X_REQUEST_ID"  # in the WSGI environment; no client can set it, as client headers begin with HTTP_ there


def init_app(app: Pipeline) -> None:
    """Wire the hooks: everything logged for a request is logged under its id."""

    @app.before
    def begin(request: Request) -> None:
        if VARIABLE not in request.environ:
            request.environ[VARIABLE] = new()
        logs.begin(request.environ[VARIABLE])

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        logs.end()

    if app.config["SETTINGS"].behind_nginx:
        return

    @app.after
    def send_id(request: Request, response: Response) -> Response:
        response.headers[REQUEST_ID_HEADER] = request.environ[VARIABLE]
        return response


def new() -> str:
    """Return a new id of 32 hexadecimal digits, as nginx makes them."""
    return uuid.uuid4().hex
