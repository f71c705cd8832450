"""The use cases of stored files: listing and removing them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from vimeo_api.core.database.models import Status
from vimeo_api.core.errors import NotFound
from vimeo_api.core.fetching import claims
from vimeo_api.core.files import catalog, lifecycle, lists
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.policy import Policy
from vimeo_api.services import deletions


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: its files, how many there are in all, and how many pages they make."""

    files: list[Entry]
    total: int
    number: int
    pages: int


def remove(policy: Policy, key: str) -> None:
    """Remove a file for its owner; running downloads finish, a fetch is cancelled. Raises NotFound and Unavailable."""
    entry = catalog.find(policy.surface, key)
    if entry is None or entry.expired or not remove_entries(entry):
        raise NotFound


def remove_entries(*entries: Entry) -> int:
    """Remove files of any surface; return how many were not gone already. Raises Unavailable."""
    for entry in entries:
        if entry.status == Status.FETCHING:
            claims.cancel(entry.id)
    return len(deletions.delete(lifecycle.remove, entries))


def page(policy: Policy, *, query: str, sort: str, number: int, size: int) -> Page:
    """Return a page of a surface's files whose names contain the query, in one of `lists.SORTS`."""
    total = lists.count(policy.surface, containing=query)
    pages = max(1, math.ceil(total / size))
    number = min(max(1, number), pages)
    files = lists.sorted_by(sort, policy.surface, containing=query, limit=size, offset=(number - 1) * size)
    return Page(files, total, number, pages)


def names(policy: Policy, *, after: str = "", limit: int) -> tuple[list[str], bool]:
    """Return the first names of a surface's files that sort after a given one, and whether there are more."""
    found = lists.names(policy.surface, after=after, limit=limit + 1)
    return found[:limit], len(found) > limit


def all_names(policy: Policy, *, at_once: int) -> Iterator[list[str]]:
    """Yield the sorted names of all files of a surface, in lists of at most `at_once`; at least one, perhaps empty."""
    after, more = "", True
    while more:
        found, more = names(policy, after=after, limit=at_once)
        yield found
        after = found[-1] if found else ""
