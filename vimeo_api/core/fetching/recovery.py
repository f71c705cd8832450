"""What workers that were killed in mid-fetch leave in the spool of this host, found and settled by every sweep.

A partial file that nobody has locked belongs to a worker that is dead, or to nobody. If its claim still stands in the
row, the fetch is due at once, however long the claim would have lasted. If the fetch is over, file and notes go, and of
one that failed also what was published just before. The spools of other hosts are not seen from here: claims from
there lapse by time, and their leftovers wait for a sweep there.
"""

from contextlib import suppress

from sqlalchemy import select

from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.fetching import claims, partial_file
from vimeo_api.core.fetching.partial_file import Busy, PartialFile
from vimeo_api.extensions import blobs, reservations


def settle() -> None:
    """Settle every partial file whose worker is dead. Safe to run twice, and beside workers that live."""
    for surface, blob in partial_file.left(blobs.spool):
        row = _row(surface, blob)
        if row is not None and row.status == Status.FETCHING and row.lease_token is None:
            continue  # the next worker may be opening it just now
        with suppress(Busy), PartialFile(reservations, surface, blob) as left:
            if not clear(left):
                claims.release(left.surface, left.blob, left.claim)


def clear(left: PartialFile) -> bool:
    """Remove a partial file that we have locked, unless its fetch still goes on; return whether it is over."""
    row = _row(left.surface, left.blob)
    if row is not None and row.status == Status.FETCHING:
        return False
    if row is None or row.status == Status.FAILED:
        with blobs.locked(left.surface, left.blob):
            blobs.remove(left.surface, left.blob)  # published, and then its worker died or was told to stop
    left.discard()
    return True


def _row(surface: str, blob: str) -> statements.AnyRow | None:
    return statements.row(select(File.status, File.lease_token).where(File.surface == surface, File.blob == blob))
