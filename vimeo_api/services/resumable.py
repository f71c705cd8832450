"""The use cases of resumable uploads: begin, append, finish. `views.uploads` calls them; `concatenation` joins uploads.

A finished upload goes the way of any other: `core.files.storing` checks and publishes it, under the same rules.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore

from vimeo_api.core.access import api_tokens
from vimeo_api.core.access.api_tokens import LEAST_CHARGE
from vimeo_api.core.database import counters
from vimeo_api.core.database.counters import Counted
from vimeo_api.core.errors import (
    BytesLost,
    DigestMismatch,
    Exists,
    Malformed,
    NotFound,
    StorageFull,
    TooLarge,
    Writing,
    WrongOffset,
)
from vimeo_api.core.files import storing
from vimeo_api.core.files.storing import Uploaded
from vimeo_api.core.policy import Policy
from vimeo_api.core.resumable import adoption, checks, expiry, finishing, parts, rows, streaming
from vimeo_api.core.resumable.checks import Content
from vimeo_api.core.resumable.rows import NewUpload, Upload
from vimeo_api.extensions import blobs, reservations, settings

READ_CHUNK = 64 * 1024  # bytes
GLANCE_SECONDS = 1.0  # in which nginx sees that a connection was closed, and says what came
SETTLE_SECONDS = 15.0  # longer than nginx takes to see that a client is gone (`so_keepalive`)
POLL_SECONDS = 0.05
_waiters = BoundedSemaphore(4)  # of the threads of a process, so that waiting never holds them all


@dataclass(frozen=True, slots=True)
class Answer:
    """What the surface of a file answers to its upload."""

    status: int
    media_type: str
    body: str
    manage_url: str | None = None


def check_new(policy: Policy, new: NewUpload) -> None:
    """Raise what would refuse an upload that begins: TooLarge, Malformed, QuotaExceeded or StorageFull."""
    size = new.length or 0
    checks.check_size(policy, size)
    if not new.is_partial:
        storing.check_name(policy, new.name)
    if new.token_id is not None:
        api_tokens.check_quota(new.token_id, max(size, LEAST_CHARGE) + rows.bytes_of(new.token_id))
    reservations.check_spool_space(size)


def check_size(policy: Policy, length: int | None, size: int | None) -> None:
    """Raise TooLarge for a first body that goes beyond the length of its upload, or beyond what the surface takes."""
    if length is not None and (size or 0) > length:
        raise TooLarge("The body goes beyond the length of the upload.")
    checks.check_size(policy, size or 0)


def begin(policy: Policy, new: NewUpload, *, writer: str | None = None, host: str | None = None) -> Upload:
    """Begin an upload, to which the request `writer` may append; another host may get its bytes.

    Raises what `check_new` does.
    """
    check_new(policy, new)
    rows.add(new, writer=writer, host=host)
    counters.add({Counted.UPLOADS_STARTED: 1})
    return rows.existing(new.key)


def find(policy: Policy, key: str, *, token_id: int | None) -> Upload:
    """Return an upload of this surface and token. Raises NotFound."""
    upload = rows.find(key)
    if upload is None or upload.surface != policy.surface or upload.token_id != token_id:
        raise NotFound("There is no such upload.")
    return upload


def settled(upload: Upload, seconds: float = SETTLE_SECONDS) -> Upload:
    """Return the upload once no request sends bytes for it any more, or after `seconds`.

    A connection may be half dead: its client is back while the server has yet to notice. Raises Writing where too many
    requests of this process wait already, and NotFound.
    """
    if upload.writer is None:
        return upload
    with waiting() as may_wait:
        if not may_wait:
            raise Writing(retry_after=1)
        deadline = time.monotonic() + seconds
        while upload.writer is not None and time.monotonic() < deadline:
            if settings.behind_nginx:
                adoption.catch_up()
            elif not parts.is_locked(upload.key):
                rows.give_up(upload.key, upload.writer)  # that process was killed
            upload = rows.existing(upload.key)
            if upload.writer is not None:
                time.sleep(POLL_SECONDS)
    return upload


@contextmanager
def waiting() -> Iterator[bool]:
    """Yield whether the caller may wait; too many requests of this process may do so already."""
    may_wait = _waiters.acquire(blocking=False)
    try:
        yield may_wait
    finally:
        if may_wait:
            _waiters.release()


def checked(upload: Upload) -> Upload:
    """Return an upload whose bytes are all there. Raises NotFound, and BytesLost for another one, which is ended."""
    if not upload.is_finished:
        try:
            parts.check(upload.key, upload.offset)
        except BytesLost:  # or another request has just made a file of them
            with _locked(upload.key):
                upload = rows.existing(upload.key)
                if not upload.is_finished:
                    parts.check(upload.key, upload.offset)
    return upload


def claim(policy: Policy, upload: Upload, offset: int, writer: str, content: Content) -> None:
    """Let a request append at the offset, and nobody who came before it.

    Raises WrongOffset, Final, Malformed for a length that differs from the one known, and TooLarge.
    """
    checks.check_append(policy, upload, offset, content)
    length = upload.length if content.length is None else content.length
    if not rows.claim(upload, writer, length=length, closed=content.closed):
        raise WrongOffset(rows.existing(upload.key).offset)


def append_spooled(policy: Policy, upload: Upload, writer: str, body: Path | None, content: Content) -> Upload:
    """Append a body that nginx has spooled.

    Raises WrongOffset, DigestMismatch, Inconsistent, TooLarge, StorageFull and NotFound.
    """
    with _locked(upload.key):
        current = _claimed(upload, writer)
        size = body.stat().st_size if body else 0
        to = current.offset + size
        try:
            checks.check_end(policy, current, to)
            for algorithm, expected in content.digests:
                checks.check_digest(_digest_of(body, algorithm), expected)
            if body:
                parts.take(current.key, current.offset, body)
        except (DigestMismatch, TooLarge, StorageFull):
            rows.give_up(current.key, writer)
            raise
        streaming.settle(current, writer, current.offset, to, content)
    return rows.existing(upload.key)


def append_streamed(
    policy: Policy, upload: Upload, read: Callable[[int], bytes], *, offset: int, writer: str, content: Content
) -> Upload:
    """Append a body as it comes in; if it breaks off, what has come stays, unless it should have had a digest.

    Raises Malformed for a body that breaks off, StorageFull, DigestMismatch, and what `claim` does.
    """
    with _locked(upload.key):  # before the claim: a claim without the lock is one of a process that was killed
        claim(policy, rows.existing(upload.key), offset, writer, content)
        current = rows.existing(upload.key)
        with parts.opened(current.key, current.offset) as part:
            stream = streaming.Stream(policy, current, writer, part, content)
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
    return rows.existing(upload.key)


def finish(policy: Policy, upload: Upload, word: Callable[[Uploaded], Answer]) -> Upload:
    """Make a file of a whole upload, once, and keep what `word` answers, given the file.

    Raises what an upload to the surface does. Where trying again would not help, the upload is ended.
    """
    with _locked(upload.key):
        upload = rows.existing(upload.key)
        if upload.is_answered:
            return upload
        try:
            file = finishing.stored(policy, upload)
        except (Malformed, TooLarge, Exists, DigestMismatch):
            expiry.remove(upload.key)
            raise
        answer = word(file)
        rows.finish(upload.key, answer.status, answer.media_type, answer.body, manage_url=answer.manage_url)
        parts.remove(upload.key)
    if upload.file_key is None:  # a worker has counted it otherwise
        counters.add({Counted.UPLOADS_FINISHED: 1})
    return rows.existing(upload.key)


@contextmanager
def _locked(key: str) -> Iterator[None]:
    """Lock a part. If its upload has ended meanwhile, or has lost bytes, what is written of it goes, too."""
    with parts.locked(key):
        try:
            yield
        except NotFound:
            expiry.remove(key)
            raise


def _claimed(upload: Upload, writer: str) -> Upload:
    current = rows.existing(upload.key)
    if current.writer != writer or current.offset != upload.offset:
        raise WrongOffset(current.offset)
    return current


def _digest_of(body: Path | None, algorithm: str) -> str:
    if body is None:
        return hashlib.new(algorithm, usedforsecurity=False).hexdigest()
    with blobs.adopt(body) as staging:
        return staging.digest(algorithm)
