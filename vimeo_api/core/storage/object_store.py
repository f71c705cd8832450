"""A bucket of an S3-compatible object store as a store.

    STORE_URL/<surface>/<ab>/<blob>   complete; the name is random and never used again for other bytes

So no lock among hosts is needed, and a response that names deleted bytes leads to a 404, never to another file's bytes.
obstore signs, retries and uploads the parts, each with a checksum, so damage on the way is refused. Its runtime does
not survive a fork: only processes that never fork afterwards may call this module, which are web processes and the
children of workers. Sources: the S3 API reference, https://developmentseed.org/obstore/.
"""

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from io import SEEK_CUR, SEEK_END, RawIOBase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store

from vimeo_api.core import identifiers
from vimeo_api.core.breaker import Breaker
from vimeo_api.core.errors import Damaged, Unavailable
from vimeo_api.core.storage import folders, multiparts
from vimeo_api.core.storage.buckets import Bucket
from vimeo_api.core.storage.folders import relative
from vimeo_api.core.storage.gate import Gate
from vimeo_api.core.storage.multiparts import Multipart
from vimeo_api.core.storage.stores import Progress

_log = logging.getLogger(__name__)

NAME = "s3"
PART = 8 * 1024**2  # bytes; files up to this size are sent in one request
MOST_PARTS = 9000  # S3 allows 10,000
AT_ONCE = 4  # parts of one file that are sent at the same time
SIGNED_SECONDS = 3600  # longer than nginx keeps a response
GRANT_SECONDS = 10  # from when a row is read until no response of it may lead to the object (`services.deletions`)
_PIECE = 1024**2  # bytes
_READ = 256 * 1024  # bytes
_AWAY_SECONDS = 5
_BRIEF_BYTES = 1024**2  # what any object store takes within seconds
_MOST_WAITING, _SILENT_SECONDS = 3, 1  # of the eight threads of a web process
_LISTED = 500  # names in one group


class ObjectStore:
    """The objects of a bucket below a prefix."""

    name = NAME
    batch = 32
    threads = 8

    def __init__(self, bucket: Bucket, drafts: Path) -> None:
        """Keep objects in a bucket; the files in `drafts` lock those that are being made."""
        self._bucket = bucket
        self._drafts = drafts
        self._breaker = Breaker(_AWAY_SECONDS)  # so that workers do not wait for it with every file
        self._takes_files = True  # as far as this process knows
        self.gate = Gate(few=_MOST_WAITING, patience=_SILENT_SECONDS)

    @cached_property
    def _client(self) -> S3Store:
        return self._bucket.client()  # not before the process has forked

    @cached_property
    def _brief(self) -> S3Store:
        return self._bucket.client(brief=True)

    @property
    def away(self) -> bool:
        """Whether it took no file a moment ago."""
        return self._breaker.open

    def note_failure(self, error: Unavailable) -> None:
        """Leave the object store alone for a while; log only the first of several failures."""
        self._breaker.trip()
        self.gate.note_failure()
        if self._takes_files:
            self._takes_files = False
            _log.error("the object store takes no files: %s", error)

    def note_success(self) -> None:
        """Ask the object store at once from now on; log that it works again, if it did not."""
        self._breaker.reset()  # of those who waited for it, one may have failed a moment before another succeeded
        self.gate.note_answer()
        if not self._takes_files:
            self._takes_files = True
            _log.warning("the object store takes files again")

    def check(self) -> None:
        """Do nothing: the object store itself says that a bucket is missing."""

    def check_access(self) -> None:
        """Write, read, list and remove an object. Raises Unavailable with a sentence that says what is wrong."""
        key = f"probe-{identifiers.random_hex()}"
        with self._bucket.asking("write to"):
            obstore.put(self._brief, key, b"probe")
        try:
            with self._bucket.asking("read from"):  # it is there
                obstore.head(self._brief, key)
            with self._bucket.asking("list"):
                next(iter(obstore.list(self._brief, "probe")), None)
        finally:
            with self._bucket.asking("delete from"):
                obstore.delete(self._brief, key)

    def answers(self) -> None:
        """Ask for an object that does not exist. Raises Unavailable unless the object store answers."""
        with suppress(FileNotFoundError), self._bucket.asking("read from", may_be_missing=True):
            obstore.head(self._brief, "probe")

    def open(self, surface: str, blob: str, size: int | None = None) -> RawIOBase:
        """Open an object for reading. Raises FileNotFoundError, Damaged and Unavailable."""
        there = self.size(surface, blob)
        if size not in {None, there}:
            raise Damaged(f"the object {relative(surface, blob)} has {there} bytes instead of {size}")
        return _Object(self._client, self._bucket, relative(surface, blob), there)

    def size(self, surface: str, blob: str) -> int:
        """Return how many bytes an object has; give up soon. Raises FileNotFoundError and Unavailable."""
        with self._bucket.asking("read from", may_be_missing=True):
            return obstore.head(self._brief, relative(surface, blob))["size"]

    def remove(self, surface: str, blob: str) -> None:
        """Remove an object for good; give up soon. A missing one is no error. Raises Unavailable."""
        try:
            with suppress(FileNotFoundError), self._bucket.asking("delete from", may_be_missing=True):
                obstore.delete(self._brief, relative(surface, blob))
        except Unavailable:
            self.gate.note_failure()
            raise
        self.gate.note_answer()

    @contextmanager
    def receiving(self, surface: str, blob: str) -> Iterator["ObjectDraft | None"]:
        """Begin an object; yield None if another worker of this host makes it. Unless it is kept, it is removed."""
        path = self._drafts / f"{surface}-{blob}"
        with folders.draft(path) as descriptor:
            if descriptor is None:
                yield None
                return
            draft = ObjectDraft(self, self._client, self._brief, self._bucket, relative(surface, blob))
            yield draft
            if draft.made and not draft.kept:
                self.remove(surface, blob)  # after an error, the next try replaces it

    def old_blobs(self, age: float) -> Iterator[tuple[str, list[str]]]:
        """Yield the objects of at least that age in seconds. Those whose keys are not ours are left alone."""
        group: tuple[str, list[str]] = ("", [])
        with self._bucket.asking("list"):
            for page in obstore.list(self._client, chunk_size=1000):
                for found in page:
                    named = _named(found["path"])
                    if named is None or time.time() - found["last_modified"].timestamp() < age:
                        continue
                    surface, blob = named
                    if surface != group[0] or len(group[1]) == _LISTED:
                        if group[1]:
                            yield group
                        group = (surface, [])
                    group[1].append(blob)
        if group[1]:
            yield group

    def unfinished(self, age: float) -> Iterator[tuple[str, Multipart]]:
        """Yield multipart uploads of at least that age in seconds, with their surfaces. Raises Unavailable."""
        for multipart in multiparts.listing(self._bucket):
            named = _named(multipart.key.removeprefix(f"{self._bucket.prefix}/"))
            if named and time.time() - multipart.begun_at.timestamp() >= age:
                yield named[0], multipart

    def abort(self, multipart: Multipart) -> None:
        """Remove the parts of a multipart upload. Raises Unavailable."""
        multiparts.abort(self._bucket, multipart)

    @property
    def scheme(self) -> str:
        """How nginx talks to the object store."""
        return self._bucket.origin.partition("://")[0]

    @property
    def host(self) -> str:
        """The Host of its requests, which the signature covers."""
        return self._bucket.origin.partition("://")[2]

    def internal(self, surface: str, blob: str) -> str:
        """Return nginx's location of an object: `objects` and its path there, with a signature for SIGNED_SECONDS.

        Raises Unavailable.
        """
        with self._bucket.asking("sign for"):
            url = obstore.sign(self._client, "GET", relative(surface, blob), timedelta(seconds=SIGNED_SECONDS))
        parts = urlsplit(url)
        return f"objects{parts.path}?{parts.query}"


class ObjectDraft:
    """An object that appears once all of its parts are there."""

    def __init__(self, store: ObjectStore, client: S3Store, brief: S3Store, bucket: Bucket, key: str) -> None:
        """Send the object under its final key, which was never used before; `brief` is the client for small files."""
        self._store = store
        self._client = client
        self._brief = brief
        self._bucket = bucket
        self._key = key
        self.made = self.kept = False

    def copy(self, source: int, algorithm: str, progress: Progress) -> str:
        """Send an open file, several parts at the same time; return its digest. Raises Unavailable."""
        if self._store.away:
            raise Unavailable(f"{self._bucket.origin} took no file a moment ago.")
        size, digest = os.fstat(source).st_size, hashlib.new(algorithm)
        try:
            with self._bucket.asking("write to"):
                if size <= PART:
                    content = os.pread(source, size, 0)
                    digest.update(content)
                    client = self._brief if size <= _BRIEF_BYTES else self._client
                    obstore.put(client, self._key, content, use_multipart=False)
                else:
                    self._put_parts(source, size, digest, progress)
        except Unavailable as error:
            self._store.note_failure(error)
            raise
        self._store.note_success()
        self.made = True
        return digest.hexdigest()

    def _put_parts(self, source: int, size: int, digest: Any, progress: Progress) -> None:
        def note(position: int) -> None:
            self._store.gate.note_answer()
            progress(position)

        part = max(PART, -(-size // MOST_PARTS))
        obstore.put(self._client, self._key, _pieces(source, digest, note), chunk_size=part, max_concurrency=AT_ONCE)
        stored = obstore.head(self._client, self._key)["size"]
        if stored != size:
            raise Unavailable(f"the object store has {stored} of {size} bytes of {self._key}")

    def keep(self) -> None:
        """Leave the object where it is."""
        self.kept = True

    def withdraw(self) -> None:
        """Remove the object at the end of the block, when no lock is held."""
        self.kept = False


class _Object(RawIOBase):
    """An object as a file: one request per position, which goes on to its end even if the object is deleted."""

    def __init__(self, client: S3Store, bucket: Bucket, key: str, size: int) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._size = size
        self._position = 0
        self._stream: Iterator[Any] | None = None
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        base = {SEEK_CUR: self._position, SEEK_END: self._size}.get(whence, 0)
        if base + offset != self._position:
            self._position, self._stream, self._rest = base + offset, None, memoryview(b"")
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._size:
            return 0
        with self._bucket.asking("read from", may_be_missing=True):
            if self._stream is None:
                beginning: Any = {"range": {"offset": self._position}}
                result = obstore.get(self._client, self._key, options=beginning)
                self._stream = iter(result.stream(min_chunk_size=_READ))
            if not self._rest:
                self._rest = memoryview(next(self._stream, b""))
        if not self._rest:
            raise Unavailable(f"the object store ended its response too early: {self._key}")
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._position += count
        return count


def _named(key: str) -> tuple[str, str] | None:
    """Return the surface and the blob that a key below the prefix names, None if it is not ours."""
    surface, _, rest = key.partition("/")
    folder, _, blob = rest.partition("/")
    return (surface, blob) if blob and folder == blob[:2] else None


def _pieces(source: int, digest: Any, progress: Progress) -> Iterator[bytes]:
    position = 0
    while piece := os.pread(source, _PIECE, position):
        digest.update(piece)
        position += len(piece)
        progress(position)
        yield piece
