"""The guarantee behind every fast path: due work is found in the rows, whatever happened to messages and workers.

`tasks.sweep` and `tasks.delete` call it.
"""

import logging
from collections.abc import Sequence

from sqlalchemy import select

from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.database.statements import AnyRow
from vimeo_api.core.deliveries import confirmations
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.files import catalog, lifecycle, placing
from vimeo_api.core.policy import POLICIES
from vimeo_api.extensions import blobs, mount_check

# The surfaces where several files may share one blob.
_SHARED = frozenset(policy.surface for policy in POLICIES if policy.by_content)

_log = logging.getLogger(__name__)


def settle_leases() -> int:
    """Handle the journal, end lapsed leases and expire files; return how many leases lapsed."""
    lapsed = confirmations.end_lapsed()
    lifecycle.expire()
    return lapsed


def purge(file_ids: Sequence[int]) -> None:
    """Remove the bytes of these files if they are gone, and record it. Safe to run twice.

    After a crash between the two, the bytes are removed and the row is still due. Bytes that another file shares by
    digest stay.
    """
    gone = select(File.id, File.surface, File.blob).where(
        statements.among(File.id, file_ids), File.status == Status.GONE, File.purged_at.is_(None)
    )
    lifecycle.purged([row.id for row in statements.rows(gone) if _removed(row)])


def _removed(row: AnyRow) -> bool:
    """Remove the bytes of a file; return whether that worked. If not, they become due again."""
    try:
        mount_check.check()  # else missing bytes would count as removed
        with blobs.locked(row.surface, row.blob):
            if row.surface in _SHARED and catalog.live_blobs(row.surface, [row.blob]):
                placing.clear(row.surface, row.blob)
            else:
                blobs.remove(row.surface, row.blob)
    except (Unavailable, OSError) as error:
        _log.warning("the bytes of file %d are not removed: %s", row.id, error)
        return False
    return True
