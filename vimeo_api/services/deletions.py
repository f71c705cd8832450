"""Deletions that somebody asks for: once one is answered, no host sends the file. `files` and `queues` call this.

nginx learns of a deletion by not finding the bytes. If an object store does not remove them, a response that some host
has cached still leads there. Such responses end GRANT_SECONDS after the row was read, so the deletion is answered when
that time is over. Few threads may wait like that; the others delete nothing and raise Unavailable.

Responses that lead to STORE_DIR are cached for minutes, too long to wait. So nothing in it is deleted while it is not
mounted: mounted again, it would still have the bytes. If it goes away between our look and the removal, they may be
sent until the sweep has removed them.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext

from vimeo_api.core.database.models import Status
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.maintenance import sweep
from vimeo_api.core.storage import filesystem, object_store
from vimeo_api.extensions import blobs, settings

_HAVE_BYTES = frozenset({Status.AVAILABLE, Status.LEASED, Status.IN_DOUBT})


def delete(move: Callable[[Entry], Entry | None], entries: Sequence[Entry]) -> list[Entry]:
    """Delete files by a move that returns the new row, or None if the file is gone; return the new rows.

    After a crash between the moves and the removal of the bytes, the sweep removes them. Raises Unavailable.
    """
    store = blobs.remote
    if any(_in_folder(entry) for entry in entries):
        blobs.filesystem.check()
    with store.gate.passing() if store and _any_placed(entries) else nullcontext():
        removed = [row for row in map(move, entries) if row is not None]
        moved_at = time.monotonic()
        if store and store.gate.silent and not _any_placed(removed):
            return removed  # no cached response leads to pending bytes; the sweep removes them
        left = sweep.remove_bytes(*removed)  # at once, so that the next request finds none
        if store and settings.behind_nginx and _any_placed(left):
            time.sleep(max(0, moved_at + object_store.GRANT_SECONDS - time.monotonic()))
    return removed


def _in_folder(entry: Entry) -> bool:
    return not entry.pending and entry.store == filesystem.NAME and entry.status in _HAVE_BYTES


def _any_placed(entries: Iterable[Entry]) -> bool:
    return any(not entry.pending for entry in entries)
