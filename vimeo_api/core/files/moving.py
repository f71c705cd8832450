"""Moving placed files from one store to the other, beside the running service; `manage.py move` calls it.

    copied, verified, durable → the row is switched → the old copy is removed after a while

As `placing`, but for files that are in a store already. A move that was stopped resumes with the rows that are
left; an old copy that it has not removed is an orphan, which reconciliation removes.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select, update

from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.errors import Damaged, DigestMismatch, NotFound, PipelineError
from vimeo_api.core.files import catalog, copies
from vimeo_api.core.files.catalog import COLUMNS, Entry
from vimeo_api.core.files.copies import Copy
from vimeo_api.core.storage.stores import Draft, Store
from vimeo_api.core.storage.writer import CHUNK
from vimeo_api.extensions import blobs

_KEPT = (Status.AVAILABLE, Status.LEASED, Status.IN_DOUBT)


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that stays where it is, and why."""

    entry: Entry
    error: PipelineError | OSError


def batch(target: Store, *, after: int) -> list[Entry]:
    """Return the first files that are placed in another store, by id. Pending ones are left to `placing`."""
    there = (File.id > after, File.store != target.name, File.pending.is_(False), File.status.in_(_KEPT))
    found = catalog.entries(select(*COLUMNS).where(*there).order_by(File.id).limit(copies.BATCH))
    return found[: copies.fitting(entry.size for entry in found)]


def move(entries: Sequence[Entry], target: Store) -> tuple[list[Entry], list[Failure]]:
    """Copy files into a store and serve them from there; return those that were moved, and those that could not be.

    Files that are gone, or that another process moves, are in neither list. A file fails with NotFound for missing
    bytes, DigestMismatch for damaged ones, StorageFull and Unavailable.
    """
    with copies.begun(entries, target) as begun:
        copied = copies.at_once(_copy, begun, _threads())
        moved = _keep([copy for copy in copied if isinstance(copy, Copy)], target)
    return moved, [failure for failure in copied if isinstance(failure, Failure)]


def remove_old(moved: Sequence[Entry]) -> None:
    """Remove the copies in the stores from which files were moved, unless another file needs them."""
    copies.at_once(_remove_old, moved, _threads())


def _threads() -> int:
    """Return how many files are copied or removed at a time: a bucket gains by it, as the source or the target."""
    return max(store.threads for store in blobs.stores.values())


def _copy(begun: tuple[Entry, Draft]) -> Copy | Failure | None:
    """Copy a file; return why that failed, or None if it was deleted or moved meanwhile."""
    entry, draft = begun
    try:
        with _source(entry) as (descriptor, modified):
            return Copy(entry, draft, copies.verified(draft, descriptor, entry.digest), modified)
    except NotFound as error:
        here = catalog.live_blobs(entry.surface, [entry.blob], File.store == entry.store)
        return Failure(entry, error) if here else None
    except (PipelineError, OSError) as error:
        return Failure(entry, error)


def _keep(made: Sequence[Copy], target: Store) -> list[Entry]:
    """Serve files from their copies; return those that were not served from there before."""
    moved = []
    with copies.locked(made):
        for copy in made:
            copy.draft.keep()
        for surface, those in copies.by_surface(made):
            switched = _switch(surface, those, target)
            moved += [copy.entry for copy in those if copy.entry.blob in switched]
            left = [copy for copy in those if copy.entry.blob not in switched]
            # They are gone, or somebody on another host has just moved them, whose copies these are, too.
            needed = copies.needed(left, File.store == target.name)
            for copy in left:
                if copy not in needed:
                    copy.draft.withdraw()
    return moved


def _switch(surface: str, kept: Sequence[Copy], target: Store) -> set[str]:
    """Serve the files of a surface from a store; return the blobs of those that are not gone or moved already."""
    these: tuple[ColumnElement[bool], ...] = (
        File.surface == surface,
        statements.among(File.blob, [copy.entry.blob for copy in kept]),
        File.store != target.name,
        File.pending.is_(False),
        File.status != Status.GONE,
    )
    values = copies.known_now(kept, File.blob) | {"store": target.name}
    return {row.blob for row in statements.rows(update(File).where(*these).values(values).returning(File.blob))}


def _remove_old(entry: Entry) -> None:
    with blobs.locked(entry.surface, entry.blob):
        if not catalog.live_blobs(entry.surface, [entry.blob], File.store == entry.store):
            blobs.stores[entry.store].remove(entry.surface, entry.blob)


@contextmanager
def _source(entry: Entry) -> Iterator[tuple[int, int]]:
    """Yield a file as an open one with its time, in seconds since 1970. An object is first copied into the spool."""
    try:
        if entry.store == blobs.filesystem.name:
            with blobs.filesystem.open(entry.surface, entry.blob) as file:
                yield file.fileno(), int(os.fstat(file.fileno()).st_mtime)
            return
        with blobs.opened(entry) as source, blobs.stage() as staging:
            while piece := source.read(CHUNK):
                staging.write(piece)
            modified = entry.modified or staging.modified
            os.utime(staging.descriptor, (modified, modified))
            yield staging.descriptor, modified
    except Damaged as error:
        raise DigestMismatch(str(error)) from None
    except FileNotFoundError:
        blobs.check(entry)
        raise NotFound from None
