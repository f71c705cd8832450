"""The use cases of queues of streams; the view of the surface `streams` calls them."""

from vimeo_api.core.errors import Conflict, Nothing, NotThere
from vimeo_api.core.files import catalog, lifecycle, queues
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.maintenance import sweep
from vimeo_api.core.policy import Policy


def listing(policy: Policy, queue: str, *, after: str | None, limit: int) -> list[Entry]:
    """Return up to `limit` streams of a queue in order, after a given one. Raises Nothing if that one is not in it."""
    start = _queued(policy, queue, after) if after else None
    return queues.listing(policy.surface, queue, after=start, limit=limit)


def first(policy: Policy, queue: str) -> Entry:
    """Return the first stream of a queue. Raises Nothing when it is empty."""
    return _something(queues.first(policy.surface, queue))


def following(policy: Policy, queue: str, key: str) -> Entry:
    """Return the stream after a given one. Raises Nothing when there is none or the given one is not in the queue."""
    return _something(queues.following(_queued(policy, queue, key)))


def preceding(policy: Policy, queue: str, key: str) -> Entry:
    """Return the stream before a given one. Raises Nothing, as `following`."""
    return _something(queues.preceding(_queued(policy, queue, key)))


def take_first(policy: Policy, queue: str, *, seconds: float) -> tuple[Entry, str]:
    """Lease the first free stream of a queue for `seconds`; return it and its receipt. Raises Nothing."""
    taken = queues.lease_first(policy.surface, queue, seconds=seconds)
    if taken is None:
        raise Nothing
    return taken


def confirm(policy: Policy, queue: str, key: str, *, receipt: str) -> None:
    """Delete a taken stream. Raises NotThere, and Conflict if another client has taken it since."""
    entry = catalog.find(policy.surface, key)
    if entry is None or entry.queue != queue or entry.expired:
        raise NotThere
    if not lifecycle.remove(entry, receipt=receipt):
        raise Conflict("Another client has taken the stream.")
    sweep.purge([entry.id])


def _queued(policy: Policy, queue: str, key: str) -> Entry:
    entry = _something(catalog.find(policy.surface, key))
    if entry.queue != queue or entry.expired:
        raise Nothing
    return entry


def _something(entry: Entry | None) -> Entry:
    if entry is None:
        raise Nothing
    return entry
