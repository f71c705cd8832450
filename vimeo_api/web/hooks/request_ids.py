"""The id of a request: made by nginx, or by the embedded server, and told to the client in `X-Request-Id`.

A client's own `X-Request-Id` is ignored: what stands in the logs is for us to choose. In production nginx tells the
client, for it answers many requests without us, and what it keeps of our answers must not name one of them.
"""

import uuid

from flask import Flask, Response, request

from vimeo_api import logs

REQUEST_ID_HEADER = "X-Request-Id"
VARIABLE = "X_REQUEST_ID"  # of the WSGI environment; no client can set it, as its headers begin with HTTP_ there


def init_app(app: Flask) -> None:
    """Wire the hooks: everything logged for a request is logged under its id."""

    @app.before_request
    def begin() -> None:
        if VARIABLE not in request.environ:
            request.environ[VARIABLE] = new()
        logs.begin(request.environ[VARIABLE])

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        logs.end()

    if app.config["SETTINGS"].behind_nginx:
        return

    @app.after_request
    def tell(response: Response) -> Response:
        response.headers[REQUEST_ID_HEADER] = request.environ[VARIABLE]
        return response


def new() -> str:
    """Return a new id of 32 hexadecimal digits, as nginx makes them."""
    return uuid.uuid4().hex
