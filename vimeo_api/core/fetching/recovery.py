"""Every sweep calls this to clean up what killed workers left in the spool of this host.

A partial file that is not locked belongs to a dead worker, or to nobody. If its claim is still in the row, the fetch
is due at once, however long the claim would have lasted. If the fetch is over, the file and its notes are removed; if
it failed, so is the blob that may have been published just before. We cannot see the spools of other hosts: claims
from there time out, and their leftovers wait for a sweep on that host.
"""

from contextlib import suppress

from sqlalchemy import bindparam, select

from vimeo_api.core.database.models import File, Status
from vimeo_api.core.database.prepared import Prepared
from vimeo_api.core.fetching import claims, partial_file
from vimeo_api.core.fetching.partial_file import Busy, PartialFile
from vimeo_api.extensions import blobs, reservations

_ROW = Prepared(
    select(File.status, File.lease_token).where(File.surface == bindparam("surface"), File.blob == bindparam("blob"))
)


def settle() -> None:
    """Settle every partial file whose worker is dead. Safe to run twice, and beside live workers."""
    for surface, blob in partial_file.left(blobs.spool):
        if _row(surface, blob) == (Status.FETCHING, None):
            continue  # the next worker may be about to open it
        with suppress(Busy), PartialFile(reservations, surface, blob) as left:
            if not clear(left):
                claims.release(left.surface, left.blob, left.claim)


def clear(left: PartialFile) -> bool:
    """Remove a partial file that we have locked if its fetch is over; return whether it is."""
    row = _row(left.surface, left.blob)
    if row is not None and row[0] == Status.FETCHING:
        return False
    if row is None or row[0] == Status.FAILED:
        with blobs.locked(left.surface, left.blob):
            blobs.unpublish(left.surface, left.blob)  # its worker died or was stopped right after publishing
    left.discard()
    return True


def _row(surface: str, blob: str) -> tuple[Status, str | None] | None:
    row = _ROW.row({"surface": surface, "blob": blob})
    return None if row is None else (row[0], row[1])
