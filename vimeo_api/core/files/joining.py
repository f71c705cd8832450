"""Joining: the bytes of several blobs, one after the other, in one staging file, by the concurrent writer."""

from collections.abc import Sequence

from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.core.storage.writer import THREADS, Writer
from vimeo_api.extensions import blobs


def join(staging: Staging, sources: Sequence[Entry], *, threads: int = THREADS) -> None:
    """Write the sources into the empty staging file in the given order.

    Raises StorageFull, FileNotFoundError for a source that is not there, and EndsEarly for one that is too short.
    """
    writer = Writer(staging.descriptor, sum(entry.size for entry in sources))
    start = 0
    for entry in sources:
        with blobs.opened(entry.surface, entry.blob, pending=entry.pending) as source:
            writer.copy(source.fileno(), entry.size, at=start, threads=threads)
        start += entry.size
