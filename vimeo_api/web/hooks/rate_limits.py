"""Rate limits on wrong passwords, uploads and fetches, counted by the library `limits`: in Redis, else in memory.

Only requests that show a password, upload or ask for a fetch are counted, so a plain GET costs nothing extra. Only
wrong passwords count: a request is let in while the count is below the limit, and counted once its response is a 401.
So concurrent requests may exceed the limit, and the right password uses none of it. A wrong password that is answered
from the cache of refusals counts like any other.
"""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus

from flask import Request, Response, current_app, g
from limits import RateLimitItem
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

from vimeo_api.config import Settings
from vimeo_api.core.breaker import Breaker
from vimeo_api.core.errors import TooMany
from vimeo_api.core.files.cache_generations import CacheErrors
from vimeo_api.extensions import CACHE_OPTIONS, settings
from vimeo_api.web import clients
from vimeo_api.web.hooks import auth
from vimeo_api.web.pipeline import Pipeline
from vimeo_api.web.receiving import bodies
from vimeo_api.web.surface import SurfaceOf

Count = tuple[RateLimitItem, str]  # a rate, and the key of what is counted
Question = Callable[[FixedWindowRateLimiter, RateLimitItem, str], int]

_log = logging.getLogger(__name__)


class Counters:
    """Counts that all processes share in Redis; while it is down, each process counts in memory."""

    def __init__(self, values: Settings) -> None:
        """Use the cache's Redis, if there is one, without connecting yet."""
        self._memory = FixedWindowRateLimiter(MemoryStorage())
        self._shared = self._memory
        if values.cache_url:
            self._shared = FixedWindowRateLimiter(
                RedisStorage(values.cache_url, key_prefix="vimeo_api", **CACHE_OPTIONS)
            )
        self._breaker = Breaker(seconds=1)

    def add(self, counts: Iterable[Count]) -> int:
        """Count an attempt; return the seconds to wait if a limit is exceeded, else 0."""
        return max((self._ask(_add, *count) for count in counts), default=0)

    def look(self, counts: Iterable[Count]) -> int:
        """Return the seconds to wait if a limit is reached, else 0; count nothing."""
        return max((self._ask(_look, *count) for count in counts), default=0)

    def _ask(self, question: Question, rate: RateLimitItem, key: str) -> int:
        if not self._breaker.open:
            try:
                return question(self._shared, rate, key)
            except CacheErrors as error:
                self._breaker.trip()
                _log.warning("cache: counting in memory: %s", type(error).__name__)
        return question(self._memory, rate, key)


def init_app(app: Pipeline, surface_of: SurfaceOf) -> None:
    """Wire the hooks, before those of the refusal cache; `surface_of` names the surface that owns a path."""
    counters = app.extensions["rate_limits"] = Counters(app.config["SETTINGS"])

    @app.before
    def limit(request: Request) -> None:
        surface = surface_of(request.path)
        if surface is None or request.url_rule is None:
            return
        if auth.is_upload(app.view_functions[request.url_rule.endpoint]):
            target = (request.view_args or {}).get("surface", surface.name)  # of a resumable upload
            rates = settings.surfaces[target].upload_limit if target in settings.surfaces else ()
            if rates and request.method != "OPTIONS" and "X_ADMIT_UPLOAD" not in request.environ:
                _refuse_after(counters.add(_counts(rates, f"uploads to {target}", clients.client())))
        elif surface.sends_password(request):
            counts = [
                *_counts(settings.password_limit_address, "passwords by address", clients.address()),
                *_counts(settings.password_limit_file, "passwords by file", surface.name, surface.key_of(request)),
            ]
            _refuse_after(counters.look(counts))
            g.password_counts = counts

    @app.after
    def count_wrong_password(_request: Request, response: Response) -> Response:
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            counters.add(g.pop("password_counts", ()))
        return response


def allow_fetch() -> None:
    """Count a fetch against its client's limit. Raises TooMany."""
    counters: Counters = current_app.extensions["rate_limits"]
    _refuse_after(counters.add(_counts(settings.fetch_limit, "fetches", clients.client())))


def _refuse_after(seconds: int) -> None:
    if seconds:
        bodies.drain()
        raise TooMany("Too many attempts; try again later.", seconds)


def _counts(rates: tuple[RateLimitItem, ...], *subject: str) -> list[Count]:
    # Hashed: a key must not reveal who asked for what, and a file's key is all it takes to download it.
    return [(rate, hashlib.sha256("\0".join(subject).encode()).hexdigest()) for rate in rates]


def _add(limiter: FixedWindowRateLimiter, rate: RateLimitItem, key: str) -> int:
    return 0 if limiter.hit(rate, key) else _seconds_left(limiter, rate, key)


def _look(limiter: FixedWindowRateLimiter, rate: RateLimitItem, key: str) -> int:
    return 0 if limiter.test(rate, key) else _seconds_left(limiter, rate, key)


def _seconds_left(limiter: FixedWindowRateLimiter, rate: RateLimitItem, key: str) -> int:
    return max(1, math.ceil(limiter.get_window_stats(rate, key).reset_time - time.time()))
