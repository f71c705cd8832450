"""The 4XX cache: a refusal is computed once, then answered from the cache until something makes it wrong.

A pair of hooks around every GET and HEAD, wired by `app`. A cached refusal is bound to the generation of its file
(`cache_generations`) and to everything in the request that it depends on, credentials included, under a key that
reveals none of it. Only requests that this process has refused before are looked up: most are not refused, and a
lookup costs a third of deciding. When the cache is down, slow or damaged, requests continue without it.
"""

import hashlib
import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Request, Response, g

from vimeo_api.core import identifiers
from vimeo_api.core.breaker import Breaker
from vimeo_api.core.files import cache_generations
from vimeo_api.core.files.cache_generations import CacheErrors
from vimeo_api.extensions import cache, settings
from vimeo_api.web.pipeline import Pipeline

# Which refusals are cached, and for how many seconds. Not cached: 408, 413 (about the body), 409, 412, 416, 423, 425
# (true for a moment only), 429 (counted elsewhere).
KEPT_SECONDS: dict[int, int] = {
    HTTPStatus.BAD_REQUEST: 30,  # a malformed GET stays malformed
    HTTPStatus.UNAUTHORIZED: 60,  # saves 25 ms of argon2; the password is part of the key
    HTTPStatus.NOT_FOUND: 30,  # short, because keys that never exist would fill the cache
    HTTPStatus.METHOD_NOT_ALLOWED: 60,  # only a new release changes it
    HTTPStatus.GONE: 60,  # for good
}

READS = frozenset({"GET", "HEAD"})

# The headers that belong to a refusal; the server adds the others.
_KEPT_HEADERS = ("Content-Type", "Allow", "WWW-Authenticate", "X-Content-Type-Options")

SubjectOf = Callable[[Request], tuple[str, str] | None]


class _Recent:
    """A bounded set that forgets what was not added recently. Threads share it; losing a member does no harm."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._new: set[int] = set()
        self._old: set[int] = set()

    def add(self, number: int) -> None:
        self._new.add(number)
        if len(self._new) > self._size:
            self._new, self._old = set(), self._new

    def __contains__(self, number: int) -> bool:
        return number in self._new or number in self._old


_log = logging.getLogger(__name__)
_refused = _Recent(20_000)
_breaker = Breaker(seconds=1)


@dataclass(frozen=True, slots=True)
class _Lookup:
    """What a request found in the cache before its view ran."""

    key: str
    generation_key: str
    generation: str | None


def init_app(app: Pipeline, file_of: SubjectOf) -> None:
    """Wire the hooks; `file_of` names surface and key of a request's file, None if refusals must not be cached."""

    @app.before
    def answer_known_refusal(request: Request) -> Response | None:
        if request.method not in READS or hash(_question(request)) not in _refused:
            return None
        subject = file_of(request)
        return _known(request, subject) if subject else None

    @app.after
    def keep_refusal(request: Request, response: Response) -> Response:
        lookup: _Lookup | None = g.pop("refusal_lookup", None)
        if response.status_code in KEPT_SECONDS and request.method in READS and not response.cache_control.no_store:
            _refused.add(hash(_question(request)))
            if lookup is not None:
                _keep(lookup, response)
        return response


def _known(request: Request, subject: tuple[str, str]) -> Response | None:
    if _breaker.open:
        return None
    key, generation_key = _key(request), cache_generations.cache_key(*subject)
    try:
        generation, entry = cache.get_many(generation_key, key)
    except CacheErrors as error:
        _tripped(error)
        return None
    if generation is not None and isinstance(entry, dict) and entry.get("generation") == generation:
        return Response(entry["body"], entry["status"], entry["headers"])
    g.refusal_lookup = _Lookup(key, generation_key, generation)
    return None


def _keep(lookup: _Lookup, response: Response) -> None:
    try:
        if lookup.generation is None:
            # Set the generation only: this response may be older than it, so it is not cached.
            cache.add(lookup.generation_key, identifiers.random_hex(), timeout=cache_generations.GENERATION_SECONDS)
        else:
            cache.set(lookup.key, _entry(lookup.generation, response), timeout=KEPT_SECONDS[response.status_code])
    except CacheErrors as error:
        _tripped(error)


def _entry(generation: str, response: Response) -> dict[str, Any]:
    return {
        "generation": generation,
        "status": response.status_code,
        "headers": {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers},
        "body": response.get_data(as_text=True),
    }


def _question(req: Request) -> tuple[str, ...]:
    """Return everything that the response may depend on."""
    environ = req.environ
    return (
        req.method,
        req.path,
        environ.get("QUERY_STRING", ""),
        environ.get("HTTP_AUTHORIZATION", ""),
        environ.get("HTTP_X_FILE_PASSWORD", ""),
        environ.get("HTTP_X_DOWNLOAD_GRANT", ""),
        environ.get("HTTP_ACCEPT", ""),
    )


def _key(req: Request) -> str:
    """Return a cache key that only this service can compute from the request."""
    message = "\0".join(f"{len(part)}:{part}" for part in _question(req))
    return (
        "refusal:"
        + hmac.new(settings.secret_key.encode(), message.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
    )


def _tripped(error: Exception) -> None:
    _breaker.trip()
    _log.warning("cache: continuing without it: %s", type(error).__name__)
