"""Admit large uploads: before the first byte, nginx asks whether the client may upload and whether there is room.

It asks with a subrequest that no client can make: only nginx's configuration sets the parameter `X_ADMIT`. 204 admits
the upload; 401 and 403 reach the client, and so do 507 and 503, by way of nginx's `@refused`. For an upload without a
Content-Length nothing can be reserved; `core.storage.spool_watch` cuts it off if it takes too much.
Source: ngx_http_auth_request_module.
"""

from http import HTTPStatus

from flask import Request, Response, request

from vimeo_api.core.errors import NotAllowed, PipelineError, QuotaExceeded, TokenNeeded
from vimeo_api.extensions import reservations
from vimeo_api.web import clients, problems
from vimeo_api.web.hooks import auth
from vimeo_api.web.pipeline import Pipeline


def init_app(app: Pipeline) -> None:
    """Wire the hooks: answer nginx, and release the reservation when the upload ends."""

    @app.before
    def admit(request: Request) -> Response | None:
        if not request.environ.get("X_ADMIT"):
            return None
        try:
            _check()
        except (TokenNeeded, NotAllowed, QuotaExceeded) as error:
            return _refused(error)
        return Response(status=HTTPStatus.NO_CONTENT)

    @app.teardown_request
    def release(_error: BaseException | None) -> None:
        if request.environ.get("X_RESERVED") and not request.environ.get("X_ADMIT"):
            reservations.release(_name())


def _refused(error: PipelineError) -> Response:
    """Say status, challenge and reason; nginx puts the reason into the words of the dialect."""
    problem = problems.from_exception(error)
    reason = problem.reason.replace("…", "...")  # headers are ASCII
    return Response(status=problem.status, headers={**problem.headers, "X-Reason": reason})


def _check() -> None:
    environ = request.environ
    announced = environ["X_ANNOUNCED"]
    length = int(announced or 0)
    auth.check_announced(environ["X_METHOD"], environ["X_PATH"], environ.get("HTTP_AUTHORIZATION", ""), length)
    if announced:
        reservations.reserve(_name(), length, client=clients.client())
    else:
        reservations.check_spool_space()


def _name() -> str:
    return str(request.environ["X_REQUEST_ID"])
