"""The use cases of joining streams; the view of the surface `streams` calls them, and workers write the bytes."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from vimeo_api import tasks
from vimeo_api.core import identifiers
from vimeo_api.core.access import api_tokens
from vimeo_api.core.errors import Malformed, NotFound, TooLarge
from vimeo_api.core.fetching import claims, turns
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import Entry, NewFile
from vimeo_api.core.policy import Policy
from vimeo_api.extensions import reservations, settings


def begin(
    policy: Policy, keys: Sequence[str], *, client: str, queue: str | None = None, token_id: int | None = None
) -> str:
    """Add a stream that a worker will join from others, in the given order, and enqueue the join; return its key.

    `client` is who asks for it. Raises NotFound for a missing stream, Malformed for one that is repeated too often,
    TooLarge, QuotaExceeded and StorageFull, all before a byte is written.
    """
    most = settings.streams.join_repeats
    if max(Counter(keys).values()) > most:
        raise Malformed(f"A stream can be repeated {most} times in a join.")
    found = catalog.find_all(policy.surface, keys)
    if not found.keys() >= set(keys) or any(entry.expired or not entry.stored for entry in found.values()):
        raise NotFound
    size = sum(found[key].size for key in keys)
    if any(limit is not None and size > limit for limit in (policy.max_bytes, settings.streams.join_max_bytes)):
        raise TooLarge
    reservations.check_spool_space(size)
    key = policy.new_key("")
    new = NewFile(
        policy.surface,
        key,
        blob=identifiers.random_hex(),
        name="file",
        size=size,
        queue=queue,
        joined_keys=json.dumps(keys),
        expires_at=policy.expiry(None),
        token_id=token_id,
    )
    with api_tokens.charged(token_id, size):
        catalog.add(new)
    entry = _join(policy, key)
    turns.add(entry.id, client=client, origin=f"join of {client}")
    tasks.enqueue(tasks.fetch, entry.id)
    return key


def status(policy: Policy, key: str) -> dict[str, Any]:
    """Return the progress of a join, ready for JSON. Raises NotFound for a stream that was not joined."""
    return claims.progress(_join(policy, key))


def cancel(policy: Policy, key: str) -> dict[str, Any]:
    """Cancel a join unless it is over, and return its progress. Raises NotFound."""
    claims.cancel(_join(policy, key).id)
    return status(policy, key)


def _join(policy: Policy, key: str) -> Entry:
    entry = catalog.find(policy.surface, key)
    if entry is None or entry.joined_keys is None:
        raise NotFound
    return entry
