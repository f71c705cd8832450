"""The use cases of resumable uploads: begin, append, join, finish, end. `views.uploads` calls them.

A finished upload goes the way of any other: `services.uploads` checks and publishes it, under the same rules.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import BoundedSemaphore

from vimeo_api.core.access import api_tokens
from vimeo_api.core.database import counters
from vimeo_api.core.database.counters import Counted
from vimeo_api.core.errors import (
    DigestMismatch,
    Exists,
    Final,
    Inconsistent,
    Malformed,
    NotFound,
    StorageFull,
    TooLarge,
    Writing,
    WrongOffset,
)
from vimeo_api.core.files import types_by_content
from vimeo_api.core.policy import Policy
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.core.unfinished import adoption, expiry, parts, rows
from vimeo_api.core.unfinished.rows import NewUpload, Upload
from vimeo_api.extensions import blobs, reservations, settings
from vimeo_api.services import uploads
from vimeo_api.services.uploads import Uploaded

CHECKPOINT = 16 * 1024**2  # bytes of a streamed body after which they are promised to the client
READ_CHUNK = 64 * 1024  # bytes
SETTLE_SECONDS = 15.0  # longer than nginx takes to see that a client is gone (`so_keepalive`)
_POLL = 0.05  # seconds
_waiters = BoundedSemaphore(4)  # of the threads of a process, so that waiting never holds them all


@dataclass(frozen=True, slots=True)
class Answer:
    """What the surface of a file answers to its upload."""

    status: int
    media_type: str
    body: str
    manage_url: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What a request says about the bytes that it brings."""

    length: int | None = None  # of the whole upload, if it is known from now on
    size: int | None = None  # of the request's body, if it says so
    closed: bool = True  # whether the upload is complete once its length is reached
    ends: bool = False  # whether it ends with this body, however long that is
    digests: Sequence[tuple[str, bytes]] = ()  # of the body: hashlib's names and what they must be


def check_new(policy: Policy, new: NewUpload) -> None:
    """Raise what would refuse an upload that begins: TooLarge, Malformed, QuotaExceeded or StorageFull."""
    size = new.length or 0
    _check_size(policy, size)
    if not new.is_partial:
        uploads.check_name(policy, new.name)
    if new.token_id is not None:
        api_tokens.check_quota(new.token_id, size + rows.bytes_of(new.token_id))
    reservations.check_spool_space(size)


def check_size(policy: Policy, length: int | None, size: int | None) -> None:
    """Raise TooLarge for a first body that goes beyond the length of its upload, or beyond what the surface takes."""
    if length is not None and (size or 0) > length:
        raise TooLarge("The body goes beyond the length of the upload.")
    _check_size(policy, size or 0)


def begin(policy: Policy, new: NewUpload, *, writer: str | None = None) -> Upload:
    """Begin an upload, to which the request `writer` may append. Raises what `check_new` does."""
    check_new(policy, new)
    rows.add(new, writer=writer)
    counters.add({Counted.UPLOADS_STARTED: 1})
    return _found(new.key)


def find(policy: Policy, key: str, *, token_id: int | None) -> Upload:
    """Return an upload of this surface and token. Raises NotFound."""
    upload = rows.find(key)
    if upload is None or upload.surface != policy.surface or upload.token_id != token_id:
        raise NotFound("There is no such upload.")
    return upload


def settled(upload: Upload) -> Upload:
    """Return the upload once no request sends bytes for it any more, or after SETTLE_SECONDS.

    A connection may be half dead: its client is back while the server has yet to notice. Raises Writing where too many
    requests of this process wait already, and NotFound.
    """
    if upload.writer is None:
        return upload
    if not _waiters.acquire(blocking=False):
        raise Writing(retry_after=1)
    try:
        deadline = time.monotonic() + SETTLE_SECONDS
        while upload.writer is not None and time.monotonic() < deadline:
            if settings.behind_nginx:
                adoption.catch_up()
            elif not parts.is_locked(upload.key):
                rows.give_up(upload.key, upload.writer)  # that process was killed
            upload = _found(upload.key)
            if upload.writer is not None:
                time.sleep(_POLL)
    finally:
        _waiters.release()
    return upload


def claim(policy: Policy, upload: Upload, offset: int, writer: str, content: Content) -> None:
    """Let a request append at the offset, and nobody who came before it.

    Raises WrongOffset, Final, Malformed for a length that differs from the one known, and TooLarge.
    """
    _check_append(policy, upload, offset, content)
    length = upload.length if content.length is None else content.length
    if not rows.claim(upload, writer, length=length, closed=content.closed):
        raise WrongOffset(_found(upload.key).offset)


def append_spooled(policy: Policy, upload: Upload, writer: str, body: Path | None, content: Content) -> Upload:
    """Append a body that nginx has spooled. Raises WrongOffset, DigestMismatch, TooLarge and StorageFull."""
    with parts.locked(upload.key):
        current = _claimed(upload, writer)
        size = body.stat().st_size if body else 0
        to = current.offset + size
        try:
            _check_end(policy, current, to)
            for algorithm, expected in content.digests:
                _check_digest(_digest_of(body, algorithm), expected)
            if body:
                parts.take(current.key, current.offset, body)
        except (DigestMismatch, TooLarge, StorageFull):
            rows.give_up(current.key, writer)
            raise
        _settle(current, writer, current.offset, to, content)
    return _found(upload.key)


def append_streamed(
    policy: Policy, upload: Upload, read: Callable[[int], bytes], *, offset: int, writer: str, content: Content
) -> Upload:
    """Append a body as it comes in; if it breaks off, what has come stays, unless it should have had a digest.

    Raises Malformed for a body that breaks off, StorageFull, DigestMismatch, and what `claim` does.
    """
    with parts.locked(upload.key):  # before the claim: a claim without the lock is one of a process that was killed
        claim(policy, _found(upload.key), offset, writer, content)
        current = _found(upload.key)
        with parts.opened(current.key, current.offset) as part:
            stream = _Stream(policy, current, writer, part, content)
            try:
                while data := read(READ_CHUNK):
                    stream.take(data)
            except (Malformed, StorageFull):
                stream.break_off()
                raise
            except TooLarge:
                rows.give_up(current.key, writer)
                raise
            stream.finish()
    return _found(upload.key)


def join(policy: Policy, new: NewUpload, keys: Sequence[str]) -> Upload:
    """Begin an upload that is whole at once: complete partial uploads, one after the other.

    Raises Malformed unless all of them are complete, and what `check_new` does.
    """
    sources = [find(policy, key, token_id=new.token_id) for key in keys]
    if not all(source.is_partial and source.is_whole for source in sources):
        raise Malformed("Only partial uploads that are complete can be joined.")
    size = sum(source.offset for source in sources)
    _check_size(policy, size)
    uploads.check_name(policy, new.name)
    try:
        with reservations.reserved(size), parts.locked(new.key):
            parts.join(new.key, [(source.key, source.offset) for source in sources])
            rows.add(replace(new, length=size), offset=size)
    except BaseException:
        parts.remove(new.key)
        raise
    counters.add({Counted.UPLOADS_STARTED: 1})
    return _found(new.key)


def finish(policy: Policy, upload: Upload, word: Callable[[Uploaded], Answer]) -> Upload:
    """Make a file of a whole upload, once, and keep what `word` answers, given the file.

    Raises what an upload to the surface does. Where trying again would not help, the upload is ended.
    """
    with parts.locked(upload.key):
        upload = _found(upload.key)
        if upload.is_finished:
            return upload
        try:
            file = _stored(policy, upload)
        except (Malformed, TooLarge, Exists, DigestMismatch):
            expiry.remove(upload.key)
            raise
        answer = word(file)
        rows.finish(upload.key, answer.status, answer.media_type, answer.body, manage_url=answer.manage_url)
        parts.remove(upload.key)
    counters.add({Counted.UPLOADS_FINISHED: 1})
    return _found(upload.key)


def _stored(policy: Policy, upload: Upload) -> Uploaded:
    """Return the upload's file, which an attempt that was killed may have stored already."""
    if not policy.by_content and (file := uploads.uploaded_before(policy, upload.key)):
        return file
    with parts.opened(upload.key, upload.offset) as staging:
        if upload.expected_digest:
            algorithm, _, expected = upload.expected_digest.partition(":")
            _check_digest(staging.digest(algorithm), bytes.fromhex(expected))
        if policy.by_content:
            if not staging.size:
                raise Malformed("The body is empty.")
            digest = uploads.upload_content(policy, staging, token_id=upload.token_id)
            return Uploaded(digest, "", staging.size, expires_at=None, manage_key=None)
        try:
            return _uploaded(policy, upload, staging)
        except FileExistsError:  # that attempt was killed before it added the row
            with blobs.locked(policy.surface, upload.key):
                blobs.remove(policy.surface, upload.key)
            return _uploaded(policy, upload, staging)


def _uploaded(policy: Policy, upload: Upload, staging: Staging) -> Uploaded:
    return uploads.upload(
        policy,
        staging,
        name=upload.name,
        blob=upload.key,
        password_hash=upload.password_hash,
        content_type=types_by_content.detect(staging.head) if policy.sniffs else None,
        queue=upload.queue,
        digest=upload.expected_digest,
        expires_in=upload.expires_in,
        notify_url=upload.notify_url,
        token_id=upload.token_id,
    )


class _Stream:
    """Writes a body to a part, and promises what is durable now and then."""

    def __init__(self, policy: Policy, upload: Upload, writer: str, part: Staging, content: Content) -> None:
        self._policy = policy
        self._upload = upload
        self._writer = writer
        self._part = part
        self._content = content
        self._hashes = [(hashlib.new(name, usedforsecurity=False), expected) for name, expected in content.digests]
        self._promised = self._to = upload.offset

    def take(self, data: bytes) -> None:
        _check_end(self._policy, self._upload, self._to + len(data))
        self._part.write(data)
        self._to += len(data)
        for digest, _ in self._hashes:
            digest.update(data)
        if self._to - self._promised >= CHECKPOINT and not self._hashes:
            self._part.sync()
            if not rows.advance(self._upload.key, self._writer, start=self._promised, to=self._to):
                raise WrongOffset(_found(self._upload.key).offset)
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
        try:
            for digest, expected in self._hashes:
                _check_digest(digest.hexdigest(), expected)
            self._part.sync()
        except (DigestMismatch, StorageFull):
            rows.give_up(self._upload.key, self._writer)
            raise
        _settle(self._upload, self._writer, self._promised, self._to, self._content)


def _settle(upload: Upload, writer: str, start: int, to: int, content: Content) -> None:
    """Record that the bytes from `start` to `to` are durable, and end the claim. Raises WrongOffset."""
    length = to if content.ends else upload.length
    if not rows.settle(upload.key, writer, start=start, to=to, length=length):
        raise WrongOffset(_found(upload.key).offset)


def _found(key: str) -> Upload:
    upload = rows.find(key)
    if upload is None:
        raise NotFound("There is no such upload.")
    return upload


def _claimed(upload: Upload, writer: str) -> Upload:
    current = _found(upload.key)
    if current.writer != writer or current.offset != upload.offset:
        raise WrongOffset(current.offset)
    return current


def _check_append(policy: Policy, upload: Upload, offset: int, content: Content) -> None:
    if upload.is_final:
        raise Final("An upload that is joined from others takes no bytes of its own.")
    if offset != upload.offset or upload.is_finished:
        raise WrongOffset(upload.offset)
    if content.length is not None:
        if upload.length not in {None, content.length}:
            raise Inconsistent(f"The length of the upload is {upload.length} bytes, and stays so.")
        if content.length < upload.offset:
            raise Inconsistent(f"The upload has {upload.offset} bytes already.")
        _check_size(policy, content.length)
    length = upload.length if content.length is None else content.length
    if content.size is not None and length is not None and offset + content.size > length:
        raise TooLarge("The body goes beyond the length of the upload.")
    _check_size(policy, offset + (content.size or 0))


def _check_end(policy: Policy, upload: Upload, to: int) -> None:
    if upload.length is not None and to > upload.length:
        raise TooLarge("The body goes beyond the length of the upload.")
    _check_size(policy, to)


def _check_size(policy: Policy, size: int) -> None:
    if policy.max_bytes is not None and size > policy.max_bytes:
        raise TooLarge


def _digest_of(body: Path | None, algorithm: str) -> str:
    if body is None:
        return hashlib.new(algorithm, usedforsecurity=False).hexdigest()
    with blobs.adopt(body) as staging:
        return staging.digest(algorithm)


def _check_digest(found: str, expected: bytes) -> None:
    if not hmac.compare_digest(found, expected.hex()):
        raise DigestMismatch("The bytes do not have the digest that the request says.")
