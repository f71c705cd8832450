"""Copies of files on their way into a store, in batches: `placing` copies pending files, `moving` placed ones.

    drafts → copied, verified, durable → kept, under the locks of their folders → the caller switches their rows

Small files gain by batches: a bucket takes several at a time, and their rows are switched by one statement.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, case, func
from sqlalchemy.orm import InstrumentedAttribute

from vimeo_api.core.database.models import File
from vimeo_api.core.errors import DigestMismatch
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.storage.stores import Draft, Progress, Store
from vimeo_api.extensions import blobs, in_app

BATCH = 32  # files that are copied together, and
BATCH_BYTES = 64 * 1024**2  # their bytes, unless the first one alone has more

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Copy:
    """A file whose bytes are in a store; its row does not say so yet."""

    entry: Entry
    draft: Draft
    digest: str
    modified: int


def fitting(sizes: Iterable[int]) -> int:
    """Return how many of the first files, by their sizes in bytes, make a batch."""
    count = total = 0
    for size in sizes:
        total += size
        if count == BATCH or (count and total > BATCH_BYTES):
            break
        count += 1
    return count


@contextmanager
def begun(entries: Iterable[Entry], target: Store) -> Iterator[list[tuple[Entry, Draft]]]:
    """Begin the copies of files, but for those that another worker makes. Raises StorageFull."""
    with ExitStack() as stack:
        drafts = [(entry, stack.enter_context(target.receiving(entry.surface, entry.blob))) for entry in entries]
        yield [(entry, draft) for entry, draft in drafts if draft is not None]


def at_once(call: Callable[[Item], Result], items: Sequence[Item], threads: int) -> list[Result]:
    """Call a function for each item, several at a time; return the results in order."""
    if threads == 1 or len(items) <= 1:
        return [call(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(in_app(call), items))


def verified(draft: Draft, source: int, digest: str | None, progress: Progress = lambda _: None) -> str:
    """Copy an open file durably and return the digest of the copy, by SHA-256 unless the row has another one.

    Raises StorageFull, Unavailable, and DigestMismatch if the source, the copy and the given digest do not agree.
    """
    algorithm, _, expected = (digest or "sha256:").partition(":")
    copied = draft.copy(source, algorithm, progress)
    if expected not in {"", copied}:
        raise DigestMismatch("The copy and its digest do not agree.")
    return f"{algorithm}:{copied}"


@contextmanager
def locked(copies: Iterable[Copy]) -> Iterator[None]:
    """Hold the locks of the folders of copies, which keep others from publishing or removing anything there."""
    with ExitStack() as stack:
        for surface, folder in sorted({(copy.entry.surface, copy.entry.blob[:2]) for copy in copies}):
            stack.enter_context(blobs.locked(surface, folder))  # sorted, so that no two of us deadlock
        yield


def needed(copies: Iterable[Copy], *conditions: ColumnElement[bool]) -> list[Copy]:
    """Return the copies of files that are not gone and meet the conditions."""
    found = []
    for surface, those in by_surface(copies):
        live = catalog.live_blobs(surface, [copy.entry.blob for copy in those], *conditions)
        found += [copy for copy in those if copy.entry.blob in live]
    return found


def by_surface(copies: Iterable[Copy]) -> Iterator[tuple[str, list[Copy]]]:
    """Yield the copies of each surface."""
    ordered = sorted(copies, key=lambda copy: copy.entry.surface)
    for surface, those in groupby(ordered, key=lambda copy: copy.entry.surface):
        yield surface, list(those)


def known_now(copies: Sequence[Copy], key: InstrumentedAttribute[Any]) -> dict[str, Any]:
    """Return what an UPDATE notes of copies: digests and times that rows do not have yet; `key` tells rows apart."""
    values: dict[str, Any] = {}
    if any(copy.entry.digest is None for copy in copies):
        digests = {getattr(copy.entry, key.key): copy.digest for copy in copies}
        values["digest"] = func.coalesce(File.digest, case(digests, value=key))
    if any(copy.entry.modified is None for copy in copies):
        moments = {getattr(copy.entry, key.key): copy.modified for copy in copies}
        values["modified"] = func.coalesce(File.modified, case(moments, value=key))
    return values
