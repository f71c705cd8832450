"""The use cases of resumable uploads: begin, append, join, finish, end. `views.uploads` calls them.

A finished upload goes the way of any other: `core.files.storing` checks and publishes it, under the same rules.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import BoundedSemaphore

from vimeo_api import tasks
from vimeo_api.core import hosts
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
from vimeo_api.core.unfinished import adoption, checks, expiry, finishing, joining, parts, rows, streaming
from vimeo_api.core.unfinished.checks import Content
from vimeo_api.core.unfinished.rows import NewUpload, Upload
from vimeo_api.extensions import blobs, reservations, settings

READ_CHUNK = 64 * 1024  # bytes
GLANCE_SECONDS = 1.0  # in which nginx sees that a connection was closed, and says what came
JOIN_SECONDS = 15.0  # for which a client waits for the file; then it has to ask for it
MAX_REPEATED = 1024**3  # bytes that partial uploads add which are named again: a short request must not fill the disk
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
    if not _waiters.acquire(blocking=False):
        raise Writing(retry_after=1)
    try:
        deadline = time.monotonic() + seconds
        while upload.writer is not None and time.monotonic() < deadline:
            if settings.behind_nginx:
                adoption.catch_up()
            elif not parts.is_locked(upload.key):
                rows.give_up(upload.key, upload.writer)  # that process was killed
            upload = rows.existing(upload.key)
            if upload.writer is not None:
                time.sleep(_POLL)
    finally:
        _waiters.release()
    return upload


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


def join(policy: Policy, new: NewUpload, keys: Sequence[str]) -> Upload:
    """Begin an upload that is made of complete partial uploads, one after the other, and wait a little until it is.

    Its key follows from theirs. So a client that lost the response and asks again gets the same upload, whatever was
    killed meanwhile. A partial upload may be named more than once. Raises Malformed unless all of them are complete,
    what `check_new` does, and what joining and storing do; then the same request may be tried again.
    """
    new = replace(new, key=_joined_key(keys))
    if rows.find(new.key) is None:
        try:
            _begin_join(policy, new, keys)
        except NotFound:
            if rows.find(new.key) is None:  # else another request has just joined and removed them
                raise
    upload = find(policy, new.key, token_id=new.token_id)
    if upload.joined_keys is not None:
        if (upload.length or 0) <= joining.SMALL and hosts.is_here(upload.host):
            joining.run(upload.key)
        else:
            tasks.enqueue(tasks.join, upload.key, host=hosts.of(upload.host))
        upload = _joined(upload)
    if upload.failure is not None:
        expiry.remove(upload.key)
        joining.check(upload)
    return upload


def _joined_key(keys: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(keys).encode()).hexdigest()[:32]  # as hard to guess as the random keys


def _begin_join(policy: Policy, new: NewUpload, keys: Sequence[str]) -> None:
    rows.remove_expired(new.key)
    sources = [find(policy, key, token_id=new.token_id) for key in keys]
    if not all(source.is_partial and source.is_whole for source in sources):
        raise Malformed("Only partial uploads that are complete can be joined.")
    if len({hosts.of(source.host) for source in sources}) > 1:
        raise Malformed(
            "These partial uploads are on different hosts and cannot be joined: your address has changed, or a host "
            "has come or gone. Begin all of them again. With an API token, your address does not matter."
        )
    size = sum(source.offset for source in sources)
    if size - sum({source.key: source.offset for source in sources}.values()) > MAX_REPEATED:
        raise TooLarge("Partial uploads that are named more than once may add 1 GiB.")
    checks.check_size(policy, size)
    api_tokens.check_quota(new.token_id, size)
    storing.check_name(policy, new.name)
    reservations.check_spool_space(size)
    rows.prolong(keys)
    rows.add(replace(new, length=size, joined_keys=json.dumps(keys)), host=sources[0].host)
    counters.add({Counted.UPLOADS_STARTED: 1})


def _joined(upload: Upload) -> Upload:
    """Return an upload once it is joined, or as it is after JOIN_SECONDS, or if too many requests wait already."""
    upload = rows.existing(upload.key)
    if upload.is_joining and _waiters.acquire(blocking=False):
        try:
            deadline = time.monotonic() + JOIN_SECONDS
            while upload.is_joining and time.monotonic() < deadline:
                time.sleep(_POLL)
                upload = rows.existing(upload.key)
        finally:
            _waiters.release()
    return upload


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
