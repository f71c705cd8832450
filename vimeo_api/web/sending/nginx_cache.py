"""How long nginx may cache our responses: we set `X-Accel-Expires`, which never reaches a client.

For a file that may be read any number of times, nginx caches our headers and where the bytes are, not the bytes. After
a deletion the very next request is correct: nginx finds no bytes and asks us again (`X_FRESH`). Refusals are cached for
a second, but only under keys that we make: they are random, so a 404 stays true. Under names and hashes, which clients
choose, a file may appear at any moment. Requests with credentials bypass this cache, and so do one-time files, except
for their 404 and 410. Sources: ngx_http_uwsgi_module, deploy/nginx/vimeo_api/maps/caching.conf.
"""

import math
import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

from flask import Request, Response, g, request

from vimeo_api.web.pipeline import Pipeline
from vimeo_api.web.surface import Surface

EXPIRES_HEADER = "X-Accel-Expires"
NEVER = "0"
RESPONSE_SECONDS = 600
UNFINISHED_SECONDS = 5  # while a worker may still add the digest
REFUSAL_SECONDS = 1
KEPT_STATUSES = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE})


def init_app(app: Pipeline, surface_of: Callable[[str], Surface | None]) -> None:
    """Wire the hook, if there is an nginx; `surface_of` names the surface that owns a path."""
    if not app.config["SETTINGS"].behind_nginx:
        return

    @app.after
    def let_nginx_keep(request: Request, response: Response) -> Response:
        if response.status_code in KEPT_STATUSES and not response.cache_control.no_store:
            surface = surface_of(request.path)
            if surface is not None and surface.makes_keys:
                response.headers[EXPIRES_HEADER] = str(REFUSAL_SECONDS)
        return response


def until(seconds: float, expires_at: datetime | None) -> str:
    """Return the end of the life of a response: `seconds` after its request came, and before its file expires.

    It is a moment, because nginx may get the response long after we read the row. nginx uses a response until the
    second that we name is over.
    """
    end = time.time() + seconds - (time.monotonic() - g.began)
    return f"@{math.floor(min(end, expires_at.timestamp()) if expires_at else end) - 1}"


def is_fresh() -> bool:
    """Return whether nginx asks again because a cached response of ours led to missing bytes."""
    return bool(request.environ.get("X_FRESH"))
