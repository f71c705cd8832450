"""How often: wrong passwords, uploads and fetches, counted by Flask-Limiter in the cache's Redis, else in memory.

Only requests that show a password, upload or ask for a fetch are counted, so that a plain GET pays nothing. Of
passwords only wrong ones count: a request is let in while the count is below the limit, and counted once its answer is
401. So as many as this service answers at the same time may pass over the limit, and no right password uses it up. A
wrong password that is answered from the cache of refusals counts like any other.
"""

import hashlib
import time
from collections.abc import Callable
from http import HTTPStatus

from flask import Flask, Response, g, request
from flask_limiter import RateLimitExceeded

from vimeo_api.core.errors import TooMany
from vimeo_api.core.files.cache_generations import CacheErrors
from vimeo_api.extensions import limiter, settings
from vimeo_api.web.hooks import auth
from vimeo_api.web.receiving import bodies
from vimeo_api.web.surface import Surface

SurfaceOf = Callable[[str], Surface | None]


def init_app(app: Flask, surface_of: SurfaceOf) -> None:
    """Wire the hooks, before that of the refusals; `surface_of` names the surface that owns a path."""

    @app.before_request
    def limit() -> None:
        surface = surface_of(request.path)
        if surface is None or request.url_rule is None:
            return
        if auth.verb_of(app.view_functions[request.url_rule.endpoint]) == "write":
            if request.method != "OPTIONS" and _upload_limit(surface.name):  # else the limiter looks for long
                g.limited_surface = surface.name
                _allow(_upload)
        elif surface.shows_password(request):
            g.limited_file = f"{surface.name}:{surface.key_of(request)}"
            _allow(_password)


def allow_fetch() -> None:
    """Count a fetch of whoever asks for it. Raises TooMany."""
    _allow(_fetch)


def _allow(count: Callable[[], None]) -> None:
    try:
        count()
    except RateLimitExceeded:
        bodies.pass_over()
        raise TooMany("Too many attempts; try again later.", _wait()) from None


def _wait() -> int:
    """Return after how many seconds the limit that was met begins anew."""
    met = limiter.current_limit
    if met is None:
        return 1
    try:
        return max(1, int(met.reset_at - time.time()))
    except CacheErrors:
        return met.limit.get_expiry()


def _address() -> str:
    return request.remote_addr or "unknown"


def _client() -> str:
    """Return who uploads: the token, else the address."""
    token_id = auth.token_id()
    return _address() if token_id is None else f"token {token_id}"


def _file() -> str:
    # A digest, for the limiter writes what it counts into its log, and who has a file's link has the file.
    return hashlib.sha256(str(g.limited_file).encode()).hexdigest()[:32]


def _upload_limit(surface: str) -> str:
    return settings.surfaces[surface].upload_limit


def _refused(response: Response) -> bool:
    return response.status_code == HTTPStatus.UNAUTHORIZED


@limiter.shared_limit(
    lambda: settings.password_limit_address, "passwords by address", key_func=_address, deduct_when=_refused
)
@limiter.shared_limit(lambda: settings.password_limit_file, "passwords by file", key_func=_file, deduct_when=_refused)
def _password() -> None:
    """Stand for an attempt at a password."""


@limiter.shared_limit(
    lambda: _upload_limit(g.limited_surface),
    lambda _endpoint: f"uploads to {g.limited_surface}",
    key_func=_client,
)
def _upload() -> None:
    """Stand for an upload."""


@limiter.shared_limit(lambda: settings.fetch_limit, "fetches", key_func=_client)
def _fetch() -> None:
    """Stand for a fetch of a URL."""
