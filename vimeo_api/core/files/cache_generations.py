"""The generation of a file: a random token in the cache, renewed after every commit that changes its 4XX responses.

A cached refusal carries the generation from before its view ran, and is served only while that generation is current.
So a response computed before a commit is never served after it, in whatever order cache and database are reached.
`web.hooks.refusal_cache` reads generations, the core renews them. A new file whose key we made needs no renewal: nobody
could have asked for it before.
"""

import logging
from collections.abc import Sequence

from redis.exceptions import RedisError, ResponseError

from vimeo_api.core import identifiers
from vimeo_api.extensions import cache

GENERATION_SECONDS = 24 * 3600  # a forgotten generation only costs one more response from the database

# What a cache raises when it is down, slow, full or damaged.
CacheErrors = (RedisError, OSError, ValueError)

_log = logging.getLogger(__name__)


def cache_key(surface: str, key: str) -> str:
    """Return the cache key of a file's generation."""
    return f"generation:{surface}:{key}"


def renew(surface: str, key: str) -> None:
    """Make every cached refusal about a file stale.

    If the cache is down, a restart that empties it, as ours does, has the same effect. A cache that was only
    unreachable may repeat a refusal until it expires, a minute at most.
    """
    renew_all([(surface, key)])


def renew_all(files: Sequence[tuple[str, str]]) -> None:
    """Make every cached refusal about several files stale at once; each file is a surface and a key."""
    fresh = {cache_key(surface, key): identifiers.random_hex() for surface, key in files}
    try:
        _renew(fresh)
    except CacheErrors as error:
        _log.warning("cache: generations of %d files not renewed: %s", len(files), error)


def _renew(fresh: dict[str, str]) -> None:
    try:
        cache.set_many(fresh, timeout=GENERATION_SECONDS)
    except ResponseError:
        # The cache is full. It can still delete, and without a generation no refusal is current.
        cache.delete_many(*fresh)
