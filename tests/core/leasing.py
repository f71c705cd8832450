"""Leases as most tests want them: of a whole file, as it is now."""

from vimeo_api.core.files import catalog, leases
from vimeo_api.core.files.send_budget import Span


def lease(file_id: int, token: str, span: Span | None = None, *, seconds: float = 60) -> int | None:
    """Take the lease for a response with a span of a file; return its number, if it could be taken."""
    entry = catalog.by_id(file_id)
    if entry is None:
        return None
    return leases.lease(entry, token, span or (0, entry.size), seconds=seconds, longest=5 * seconds)
