"""nginx's question, before it takes the first byte of a large upload, whether there is room for it.

It asks by a subrequest that no client can make: the parameter `X_ADMIT` comes from the site alone. 403 refuses
the upload with 503, anything else but 204 with 507: other words nginx has not. Source: ngx_http_auth_request_module.
"""

import logging
from http import HTTPStatus

from flask import Flask, Response, request

from vimeo_api.core import admission
from vimeo_api.core.errors import StorageFull, Unavailable

_log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Wire the hooks: the answer to nginx's question, and the end of the promise with the upload."""

    @app.before_request
    def admit() -> Response | None:
        if not request.environ.get("X_ADMIT"):
            return None
        try:
            admission.reserve(_name(), int(request.environ["X_ANNOUNCED"]))
        except StorageFull:
            return Response(status=HTTPStatus.INSUFFICIENT_STORAGE)
        except (Unavailable, OSError) as error:
            _log.error("no room can be promised: %s", error)
            return Response(status=HTTPStatus.FORBIDDEN)
        return Response(status=HTTPStatus.NO_CONTENT)

    @app.teardown_request
    def release(_error: BaseException | None) -> None:
        if request.environ.get("X_RESERVED") and not request.environ.get("X_ADMIT"):
            admission.release(_name())


def _name() -> str:
    return str(request.environ["X_REQUEST_ID"])
