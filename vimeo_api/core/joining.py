"""Joining: the bytes of several blobs, one after the other, in one staging file, by the concurrent writer."""

import os
from collections.abc import Sequence
from pathlib import Path

from vimeo_api.core.storage import Staging
from vimeo_api.core.writer import THREADS, Writer


def join(staging: Staging, sources: Sequence[tuple[Path, int]], *, threads: int = THREADS) -> None:
    """Write the sources, each a path and its size in bytes, into the empty staging file in the given order.

    Raises StorageFull, FileNotFoundError for a source that is not there, and EndsEarly for one that is too short.
    """
    writer = Writer(staging.descriptor, sum(size for _, size in sources))
    start = 0
    for path, size in sources:
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            writer.copy(source, size, at=start, threads=threads)
        finally:
            os.close(source)
        start += size
