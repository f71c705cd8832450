"""The generation of a file: a random token in the cache, renewed after every commit that changes its 4XX responses.

A cached refusal carries the generation that was current before its view ran, and is served only while that is
still current. So a response computed from the state before a commit can never be served after it, in whatever
order cache and database are reached. `web.refusals` reads generations, the core renews them. A new file under a key
that we have made needs none: nobody can have been refused what nobody could name.
"""

import logging
from collections.abc import Sequence

from redis.exceptions import RedisError, ResponseError

from vimeo_api.core import identifiers
from vimeo_api.extensions import cache

LIFETIME = 24 * 3600  # seconds; a generation that is forgotten only costs one more response from the database

# What a cache that is down, slow, full or damaged raises.
CacheErrors = (RedisError, OSError, ValueError)

_log = logging.getLogger(__name__)


def cache_key(surface: str, key: str) -> str:
    """Return the cache's name for the generation of a file."""
    return f"generation:{surface}:{key}"


def renew(surface: str, key: str) -> None:
    """Make every cached refusal about a file stale.

    A cache that does not answer loses nothing when it forgets on restart, as ours does; one that was cut off and
    comes back whole may repeat a refusal until its lifetime ends, a minute at most.
    """
    renew_all([(surface, key)])


def renew_all(files: Sequence[tuple[str, str]]) -> None:
    """Make every cached refusal about several files, each a surface and a key, stale at once."""
    fresh = {cache_key(surface, key): identifiers.random_hex() for surface, key in files}
    try:
        _renew(fresh)
    except CacheErrors as error:
        _log.warning("cache: generations of %d files not renewed: %s", len(files), error)


def _renew(fresh: dict[str, str]) -> None:
    try:
        cache.set_many(fresh, timeout=LIFETIME)
    except ResponseError:
        # It is full, and takes nothing. It still forgets, and without a generation no refusal is current either.
        cache.delete_many(*fresh)
