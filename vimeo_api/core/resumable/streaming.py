"""Writes a body to the part of an upload as it comes in. Only the embedded server has such bodies.

`services.resumable` calls this, under the lock of the part.
"""

import hashlib
from contextlib import suppress

from vimeo_api.core.database import counters
from vimeo_api.core.database.counters import Counted
from vimeo_api.core.errors import DigestMismatch, Inconsistent, StorageFull, WrongOffset
from vimeo_api.core.policy import Policy
from vimeo_api.core.resumable import checks, rows
from vimeo_api.core.resumable.checks import Content
from vimeo_api.core.resumable.rows import Upload
from vimeo_api.core.storage.blobs import Staging

CHECKPOINT = 16 * 1024**2  # bytes after which they are promised to the client


class Stream:
    """Writes a body to a part, and promises what is durable now and then."""

    def __init__(self, policy: Policy, upload: Upload, writer: str, part: Staging, content: Content) -> None:
        """Write for the request `writer`, which has a claim on the upload."""
        self._policy = policy
        self._upload = upload
        self._writer = writer
        self._part = part
        self._content = content
        self._hashes = [(hashlib.new(name, usedforsecurity=False), expected) for name, expected in content.digests]
        self._promised = self._to = upload.offset

    def take(self, data: bytes) -> None:
        """Write what has come. Raises TooLarge, StorageFull, and WrongOffset if another request has the claim."""
        checks.check_end(self._policy, self._upload, self._to + len(data))
        self._part.write(data)
        self._to += len(data)
        for digest, _ in self._hashes:
            digest.update(data)
        if self._to - self._promised >= CHECKPOINT and not self._hashes:
            self._part.sync()
            if not rows.advance(self._upload.key, self._writer, start=self._promised, to=self._to):
                raise WrongOffset(rows.existing(self._upload.key).offset)
            self._promised = self._to

    def break_off(self) -> None:
        """Keep what has come and is written; a body with a digest is kept whole or not at all."""
        to = self._promised
        if not self._hashes:
            with suppress(StorageFull):
                self._part.sync()
                to = self._to
        rows.settle(self._upload.key, self._writer, start=self._promised, to=to, length=self._upload.length)
        counters.add({Counted.ADOPTED_BYTES: to - self._upload.offset, Counted.UPLOADS_INTERRUPTED: 1})

    def finish(self) -> None:
        """End the claim with all bytes durable. Raises DigestMismatch, StorageFull, WrongOffset and Inconsistent."""
        try:
            for digest, expected in self._hashes:
                checks.check_digest(digest.hexdigest(), expected)
            self._part.sync()
        except (DigestMismatch, StorageFull):
            rows.give_up(self._upload.key, self._writer)
            raise
        settle(self._upload, self._writer, self._promised, self._to, self._content)


def settle(upload: Upload, writer: str, start: int, to: int, content: Content) -> None:
    """Record that the bytes from `start` to `to` are durable; end the claim. Raises WrongOffset and Inconsistent."""
    if content.ends and upload.length not in {None, to}:
        rows.give_up(upload.key, writer)
        raise Inconsistent(f"The upload has {upload.length} bytes, and cannot end after {to}.")
    length = to if content.ends else upload.length
    if not rows.settle(upload.key, writer, start=start, to=to, length=length):
        raise WrongOffset(rows.existing(upload.key).offset)
