"""nginx's question before it takes the first byte of a large upload: may its sender do that, and is there room.

It asks by a subrequest that no client can make: the parameter `X_ADMIT` comes from the site alone. 401 and 403 it hands
on to the client; any other answer than 204 refuses the upload too, and nginx words it as 507. An upload that does not
say how long it is can only be asked for its token. Source: ngx_http_auth_request_module.
"""

from http import HTTPStatus

from flask import Flask, Response, request

from vimeo_api.core import admission
from vimeo_api.core.errors import PipelineError, StorageFull
from vimeo_api.web import access, problems


def init_app(app: Flask) -> None:
    """Wire the hooks: the answer to nginx's question, and the end of the promise with the upload."""

    @app.before_request
    def admit() -> Response | None:
        if not request.environ.get("X_ADMIT"):
            return None
        announced = request.environ["X_ANNOUNCED"]
        refusal = _refusal(int(announced or 0))
        if refusal is not None:
            return refusal
        if announced:
            try:
                admission.reserve(_name(), int(announced))
            except StorageFull:
                return Response(status=HTTPStatus.INSUFFICIENT_STORAGE)
        return Response(status=HTTPStatus.NO_CONTENT)

    @app.teardown_request
    def release(_error: BaseException | None) -> None:
        if request.environ.get("X_RESERVED") and not request.environ.get("X_ADMIT"):
            admission.release(_name())


def _refusal(length: int) -> Response | None:
    environ = request.environ
    try:
        access.check_announced(environ["X_METHOD"], environ["X_PATH"], environ.get("HTTP_AUTHORIZATION", ""), length)
    except PipelineError as error:
        problem = problems.from_exception(error)
        return Response(status=problem.status, headers=problem.headers)
    except problems.DATABASE_AWAY:
        return None  # the upload will be told so
    return None


def _name() -> str:
    return str(request.environ["X_REQUEST_ID"])
