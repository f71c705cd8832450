"""What nginx may keep of our answers, said by `X-Accel-Expires`, which never reaches a client.

Of a file that anyone may read any number of times it keeps the answer, not the bytes: where they lie and their headers.
A file that is deleted is exact at the very next request, for then nginx finds no bytes and asks anew (`X_FRESH`).
Refusals are kept for a second where nobody can make them wrong meanwhile: under keys that we make, at random. Under
names and hashes, which clients choose, a file may appear at once. Requests with credentials never meet this cache, nor
do one-time files but for their 404 and 410. Sources: ngx_http_uwsgi_module, deploy/nginx/vimeo_api.conf.
"""

from collections.abc import Callable
from http import HTTPStatus

from flask import Flask, Response, request

from vimeo_api.web.surface import Surface

EXPIRES_HEADER = "X-Accel-Expires"
ANSWER_SECONDS = 600
UNFINISHED_SECONDS = 5  # while a worker may yet find out the digest
REFUSAL_SECONDS = 1
KEPT_STATUSES = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE})


def init_app(app: Flask, surface_of: Callable[[str], Surface | None]) -> None:
    """Wire the hook, where there is an nginx; `surface_of` names the surface that owns a path."""
    if not app.config["SETTINGS"].behind_nginx:
        return

    @app.after_request
    def let_nginx_keep(response: Response) -> Response:
        if response.status_code in KEPT_STATUSES and not response.cache_control.no_store:
            surface = surface_of(request.path)
            if surface is not None and surface.makes_keys:
                response.headers[EXPIRES_HEADER] = str(REFUSAL_SECONDS)
        return response


def is_fresh() -> bool:
    """Return whether nginx asks because it found no bytes where an answer of ours had sent it."""
    return bool(request.environ.get("X_FRESH"))
