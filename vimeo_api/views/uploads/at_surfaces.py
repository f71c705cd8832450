"""The draft's creation by the ordinary request: an upload at its surface's own path, with `Upload-Complete`.

`?0` says that the body is only the beginning, or empty: it begins a resumable upload. The rest goes to its `Location`
below /uploads, and the last response is what the surface answers to an upload. `?1` is an upload like any other:
without 104 responses its client learns no URL at which it could resume. Section 11.1.1 has the server ignore it then,
and so we do for `?1` in a version that we do not speak. A form or JSON is not the file itself: it cannot come in parts.
"""

from http import HTTPStatus

from flask import Request, Response, current_app, g
from werkzeug.exceptions import UnsupportedMediaType

from vimeo_api.views.uploads import by_draft
from vimeo_api.web.resumable import draft
from vimeo_api.web.surface import Resumable


def begin(request: Request) -> Response | None:
    """Begin a resumable upload if the request asks for one; a hook before every view."""
    if "HTTP_UPLOAD_COMPLETE" not in request.environ or draft.completes() is not False:
        return None
    if (dialect := _dialect(request)) is None:
        return None
    draft.check_version()
    if request.mimetype in dialect.targets[request.endpoint or ""]:
        raise UnsupportedMediaType("A form or JSON cannot be sent in parts: send the file itself as the body.")
    values = request.view_args or {}
    return by_draft.create(dialect, name=values.get("key", ""), queue=values.get("queue"))


def tell(request: Request, response: Response) -> Response:
    """Say what the draft wants in a response from such a path; a hook after every view."""
    asked = "HTTP_UPLOAD_COMPLETE" in request.environ
    if not (asked or request.method == "OPTIONS") or (dialect := _dialect(request)) is None:
        return response
    limits = draft.limits(dialect.policy.max_bytes)
    if not asked:
        response.headers["Upload-Limit"] = limits
    elif draft.completes() is not None and draft.is_spoken():
        done = draft.completes() and response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
        response.headers.setdefault("Upload-Complete", draft.boolean(done or g.get("processed", False)))
        if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            response.headers["Upload-Limit"] = limits
        if draft.VERSION_HEADER in request.headers:
            response.headers[draft.VERSION_HEADER] = draft.spoken()
    return response


def _dialect(request: Request) -> Resumable | None:
    """Return the dialect to which a request uploads, if its path takes uploads in parts."""
    dialect: Resumable | None = current_app.extensions["resumable"].get(request.blueprint)
    return dialect if dialect is not None and request.endpoint in dialect.targets else None
