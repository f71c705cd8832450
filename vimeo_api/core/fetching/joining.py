"""Joining: write several streams, one after the other, into a partial file. `job` calls it in a worker.

What is written when a worker dies is not written again: streams never change, and the partial file knows how far it is.
"""

import json
from collections.abc import Callable, Iterator

from vimeo_api.core import hosts
from vimeo_api.core.errors import Damaged, DigestMismatch, NotFound, Unavailable
from vimeo_api.core.fetching.client import Cancelled, Fetched
from vimeo_api.core.fetching.headers import Version
from vimeo_api.core.fetching.partial_file import PartialFile
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.storage.writer import CHUNK
from vimeo_api.extensions import blobs

GONE = "A stream that was to be joined is gone."
DAMAGED = "A stream that was to be joined is damaged."


def join(
    entry: Entry, partial: PartialFile, *, progress: Callable[[int, int], object], cancelled: Callable[[], bool]
) -> None:
    """Write the streams that a row lists into its partial file, as `client.fetch` writes a URL's.

    Raises NotFound for a missing stream, DigestMismatch for a damaged one, StorageFull, Cancelled, and Unavailable
    while the store is away, or the host that alone has the bytes.
    """
    sources = _sources(entry)
    version = Version(sum(source.size for source in sources), f'"{entry.blob}"')
    resumed = partial.version == version
    done = next((end for start, end in partial.spans() if start == 0), 0) if resumed else 0
    partial.begin(Fetched("", entry.name, version), resumed=resumed)
    at = 0
    for source in sources:
        for piece in _pieces(source, start=max(0, done - at)):
            partial.write_at(max(at, done), piece)
            done = max(at, done) + len(piece)
            progress(done, version.size or 0)
            if cancelled():
                raise Cancelled
        at += source.size


def _sources(entry: Entry) -> list[Entry]:
    keys = json.loads(entry.joined_keys or "[]")
    found = catalog.find_all(entry.surface, keys)
    if not found.keys() >= set(keys):
        raise NotFound(GONE)
    return [found[key] for key in keys]


def _pieces(source: Entry, *, start: int) -> Iterator[bytes]:
    """Yield the bytes of a stream from an offset on, in chunks. Raises NotFound, DigestMismatch and Unavailable."""
    if source.pending and not hosts.is_here(source.host):
        raise Unavailable(f"The bytes of file {source.id} are on another host until they are placed.")
    try:
        with blobs.opened(source) as file:
            file.seek(start)
            while start < source.size:
                piece = file.read(min(CHUNK, source.size - start))
                if not piece:
                    raise DigestMismatch(DAMAGED)
                yield piece
                start += len(piece)
    except Damaged:
        raise DigestMismatch(DAMAGED) from None
    except FileNotFoundError:
        blobs.check(source)
        raise NotFound(GONE) from None  # deleted meanwhile
