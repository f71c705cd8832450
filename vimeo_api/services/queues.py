"""The use cases of queues of streams; the view of the surface `streams` calls them."""

from vimeo_api.core.errors import Conflict, NotFound, NotFoundYet
from vimeo_api.core.files import catalog, lifecycle, queues
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.policy import Policy
from vimeo_api.services import deletions


def listing(policy: Policy, queue: str, *, after: str | None, limit: int) -> list[Entry]:
    """Return up to `limit` streams of a queue, after a given one. Raises NotFoundYet if that one is not in it."""
    start = _queued(policy, queue, after) if after else None
    return queues.listing(policy.surface, queue, after=start, limit=limit)


def first(policy: Policy, queue: str) -> Entry:
    """Return the first stream of a queue. Raises NotFoundYet when it is empty."""
    return _found(queues.first(policy.surface, queue))


def following(policy: Policy, queue: str, key: str) -> Entry:
    """Return the stream after a given one. Raises NotFoundYet if there is none or the given one is not queued."""
    return _found(queues.following(_queued(policy, queue, key)))


def preceding(policy: Policy, queue: str, key: str) -> Entry:
    """Return the stream before a given one. Raises NotFoundYet, as `following`."""
    return _found(queues.preceding(_queued(policy, queue, key)))


def take_first(policy: Policy, queue: str, *, seconds: float) -> tuple[Entry, str]:
    """Lease the first free stream of a queue for `seconds`; return it and its receipt. Raises NotFoundYet."""
    taken = queues.lease_first(policy.surface, queue, seconds=seconds)
    if taken is None:
        raise NotFoundYet
    return taken


def confirm(policy: Policy, queue: str, key: str, *, receipt: str) -> None:
    """Delete a taken stream. Raises NotFound, Unavailable, and Conflict if another client has taken it since."""
    entry = catalog.find(policy.surface, key)
    if entry is None or entry.queue != queue or entry.expired:
        raise NotFound
    if not deletions.delete(lambda taken: lifecycle.confirm(taken, receipt), [entry]):
        raise Conflict("Another client has taken the stream.")


def _queued(policy: Policy, queue: str, key: str) -> Entry:
    entry = _found(catalog.find(policy.surface, key))
    if entry.queue != queue or entry.expired:
        raise NotFoundYet
    return entry


def _found(entry: Entry | None) -> Entry:
    if entry is None:
        raise NotFoundYet
    return entry
