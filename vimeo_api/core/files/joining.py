"""Joining: write several blobs, one after the other, into one staging file with the concurrent writer."""

from collections.abc import Sequence

from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.core.storage.writer import THREADS, Writer
from vimeo_api.extensions import blobs


def join(staging: Staging, sources: Sequence[Entry], *, threads: int = THREADS) -> None:
    """Write the sources into an empty staging file, in the given order.

    Raises StorageFull, FileNotFoundError for a missing source, and EndsEarly for one that is too short.
    """
    writer = Writer(staging.descriptor, sum(entry.size for entry in sources))
    start = 0
    for entry in sources:
        with blobs.opened(entry.surface, entry.blob, pending=entry.pending) as source:
            writer.copy(source.fileno(), entry.size, at=start, threads=threads)
        start += entry.size
