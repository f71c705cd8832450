"""Deletions that somebody asks for: once one is answered, no host sends the file. `files` and `queues` call this.

nginx learns of a deletion by not finding the bytes. If an object store does not remove them, a response that some host
has cached still leads there. Such responses end GRANT_SECONDS after the row was read, so the deletion is answered when
that time is over. Few threads may wait like that; the others delete nothing and raise Unavailable.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.maintenance import sweep
from vimeo_api.core.storage import object_store
from vimeo_api.extensions import blobs, settings


def delete(move: Callable[[Entry], Entry | None], entries: Sequence[Entry]) -> list[Entry]:
    """Delete files by a move that returns the new row, or None if the file is gone; return the new rows.

    After a crash between the moves and the removal of the bytes, the sweep removes them. Raises Unavailable.
    """
    placed = any(not entry.pending for entry in entries)
    with _admitted(placed=placed):
        removed = [row for row in map(move, entries) if row is not None]
        moved_at = time.monotonic()
        # At once, so that the next request finds no bytes. No cached response leads to pending bytes.
        left = sweep.remove_bytes(*removed) if placed or not _store_is_silent() else removed
        if settings.behind_nginx and any(map(_is_object, left)):
            time.sleep(max(0, moved_at + object_store.GRANT_SECONDS - time.monotonic()))
    return removed


@contextmanager
def _admitted(*, placed: bool) -> Iterator[None]:
    if placed and blobs.remote is not None:
        with blobs.remote.gate.passing():
            yield
    else:
        yield


def _store_is_silent() -> bool:
    return blobs.remote is not None and blobs.remote.gate.silent


def _is_object(entry: Entry) -> bool:
    return not entry.pending and entry.store == object_store.NAME
