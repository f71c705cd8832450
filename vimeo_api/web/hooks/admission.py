"""nginx's question before it takes the first byte of a large upload: may its sender do that, and is there room.

It asks by a subrequest that no client can make: the parameter `X_ADMIT` comes from the site alone. 204 lets the upload
in, 401 and 403 reach the client, 507 and 503 too, though by way of nginx's `@refused`. An upload that does not say how
long it is can only be asked for its token. Source: ngx_http_auth_request_module.
"""

from http import HTTPStatus

from flask import Flask, Response, request

from vimeo_api.extensions import reservations
from vimeo_api.web.hooks import auth


def init_app(app: Flask) -> None:
    """Wire the hooks: the answer to nginx's question, and the end of the promise with the upload."""

    @app.before_request
    def admit() -> Response | None:
        if not request.environ.get("X_ADMIT"):
            return None
        _check()  # a refusal is worded as any other error is; nginx looks at its status and its challenge
        return Response(status=HTTPStatus.NO_CONTENT)

    @app.teardown_request
    def release(_error: BaseException | None) -> None:
        if request.environ.get("X_RESERVED") and not request.environ.get("X_ADMIT"):
            reservations.release(_name())


def _check() -> None:
    environ = request.environ
    announced = environ["X_ANNOUNCED"]
    length = int(announced or 0)
    auth.check_announced(environ["X_METHOD"], environ["X_PATH"], environ.get("HTTP_AUTHORIZATION", ""), length)
    if announced:
        reservations.reserve(_name(), length)


def _name() -> str:
    return str(request.environ["X_REQUEST_ID"])
