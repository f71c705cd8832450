"""Moving placed files from one store to the other, beside the running service; `manage.py move` calls it.

    copied, verified, durable → the row is switched → the old copy is removed after a while

As `placing`, but for files that are in a store already. A move that was stopped resumes with the rows that are
left; an old copy that it has not removed is an orphan, which reconciliation removes.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import func, select, update

from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.errors import Damaged, DigestMismatch, NotFound
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import COLUMNS, Entry
from vimeo_api.core.storage.stores import Store
from vimeo_api.core.storage.writer import CHUNK
from vimeo_api.extensions import blobs

_KEPT = (Status.AVAILABLE, Status.LEASED, Status.IN_DOUBT)


def left(target: Store, *, after: int, limit: int) -> list[Entry]:
    """Return the first files that are placed in another store, by id. Pending ones are left to `placing`."""
    there = (File.id > after, File.store != target.name, File.pending.is_(False), File.status.in_(_KEPT))
    return catalog.entries(select(*COLUMNS).where(*there).order_by(File.id).limit(limit))


def move(entry: Entry, target: Store) -> bool:
    """Copy a file into a store and serve it from there; return False if it is gone or another process moves it.

    Raises NotFound for missing bytes, DigestMismatch for damaged ones, StorageFull and Unavailable.
    """
    with target.receiving(entry.surface, entry.blob) as draft:
        if draft is None:
            return False
        algorithm = entry.digest.partition(":")[0] if entry.digest else "sha256"
        with _source(entry) as (descriptor, modified):
            digest = f"{algorithm}:{draft.copy(descriptor, algorithm, lambda _: None)}"
        if entry.digest not in {None, digest}:
            raise DigestMismatch("Its bytes have another digest than when it was stored.")
        with blobs.locked(entry.surface, entry.blob):
            draft.keep()
            values = {
                "store": target.name,
                "digest": func.coalesce(File.digest, digest),
                "modified": func.coalesce(File.modified, modified),
            }
            there = (File.surface == entry.surface, File.blob == entry.blob, File.store == entry.store)
            switched = update(File).where(*there, File.pending.is_(False), File.status != Status.GONE)
            if statements.execute(switched.values(values)) == 0:
                # It is gone, or somebody on another host has just moved it, whose copy this is, too.
                if not catalog.live_blobs(entry.surface, [entry.blob], File.store == target.name):
                    draft.withdraw()
                return False
    return True


def remove_old(moved: Sequence[Entry]) -> None:
    """Remove the copies in the stores from which files were moved, unless another file needs them."""
    for entry in moved:
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
