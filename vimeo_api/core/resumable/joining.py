"""Joins partial uploads into one file (`Upload-Concat: final` of tus). Safe to run twice, and after a kill.

The row lists the partial uploads (`joined_keys`) until their bytes are a file and they themselves are removed. A
request joins small ones itself (`services.concatenation`); `tasks.join` does the rest, on the host that has the bytes.
The sweep finds what a kill has left, and the row's offset says how far it came. The lock of the part keeps two from
doing it at the same time.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from vimeo_api.core.database import counters
from vimeo_api.core.database.counters import Counted
from vimeo_api.core.errors import (
    BytesLost,
    DigestMismatch,
    Exists,
    Malformed,
    NotFound,
    PipelineError,
    QuotaExceeded,
    StorageFull,
    TooLarge,
    Unavailable,
)
from vimeo_api.core.policy import BY_SURFACE, Policy
from vimeo_api.core.resumable import expiry, finishing, parts, rows
from vimeo_api.core.resumable.rows import Upload
from vimeo_api.core.storage.writer import EndsEarly
from vimeo_api.extensions import reservations

# Bytes that a request joins itself: copied and synced in a fraction of a second, sooner than a message reaches a worker
# that is busy with a large one.
SMALL = 32 * 1024**2
GONE = "A part that was to be joined is gone, or not complete."
_FAILURES: dict[str, type[PipelineError]] = {
    kind.__name__: kind for kind in (DigestMismatch, Exists, Malformed, NotFound, QuotaExceeded, StorageFull, TooLarge)
}


def run(key: str) -> None:
    """Do what is left to be done for an upload that is joined from others, unless somebody is doing it."""
    with ExitStack() as stack:
        try:
            stack.enter_context(parts.locked(key, seconds=0))
        except Unavailable:
            return
        upload = rows.find(key)
        if upload is None or upload.joined_keys is None or upload.failure is not None:
            return
        keys = json.loads(upload.joined_keys)
        if not upload.is_finished and not _stored(BY_SURFACE[upload.surface], upload, keys):
            return
        for one in keys:
            expiry.remove(one)
        parts.remove(key)
        rows.forget_joined(key)


def check(upload: Upload) -> None:
    """Raise what kept an upload from being joined, if anything did."""
    if upload.failure is not None:
        kind, _, sentence = upload.failure.partition(" ")
        raise _FAILURES[kind](sentence)


def due(limit: int) -> list[str]:
    """Return the keys of this host's uploads that have something left to be done, and nobody who is doing it."""
    return [key for key in rows.to_join(limit) if not parts.is_locked(key)]


def _stored(policy: Policy, upload: Upload, keys: Sequence[str]) -> bool:
    """Store the file of an upload; return whether that worked. If not, the row says why."""
    try:
        file = finishing.stored(policy, _joined(upload, keys))
    except tuple(_FAILURES.values()) as error:
        kind = next(name for name, kind in _FAILURES.items() if isinstance(error, kind))
        rows.fail(upload.key, f"{kind} {error}")
        parts.remove(upload.key)
        return False
    rows.note_file(upload.key, file.key)
    counters.add({Counted.UPLOADS_FINISHED: 1})
    return True


def _joined(upload: Upload, keys: Sequence[str]) -> Upload:
    """Return the upload with the bytes of others in its part. Raises NotFound and StorageFull."""
    if upload.is_whole:
        return upload
    found = [rows.find(key) for key in keys]
    sources = [(source.key, source.offset) for source in found if source is not None and source.is_whole]
    size = sum(length for _, length in sources)
    if len(sources) < len(keys) or size != upload.length:
        raise NotFound(GONE)
    try:
        done = _durable(upload)
        with reservations.reserved(size - done):
            parts.join(upload.key, sources, done=done, note=partial(rows.note_joined, upload.key))
    except (FileNotFoundError, EndsEarly):
        raise NotFound(GONE) from None
    return rows.existing(upload.key)


def _durable(upload: Upload) -> int:
    """Return how many bytes an attempt that was killed has made durable, if they are still there."""
    try:
        parts.check(upload.key, upload.offset)
    except BytesLost:
        rows.note_joined(upload.key, 0)  # first: the next attempt makes the part long at once, and fills it later
        return 0
    return upload.offset
