"""Resumable uploads under chaos. A confirmed offset never goes back, whatever is killed or loses power."""

import json
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from tests.chaos.ledger import Item, Joined, Ledger, Unfinished
from tests.chaos.load import KIB, MIB, Role
from tests.chaos.wire import Fate, Reply, ask

SIZES = (64 * KIB, 300 * KIB, 3 * MIB, 12 * MIB)  # the last is one that nginx announces before its first byte
OPEN = 4  # uploads of a client at a time
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = 64 * KIB
PARTS = 3
LARGE = 0.1  # of those that are joined have the largest parts, which workers join; the others the request joins


class Resuming(Role):
    """Uploads piece by piece; some requests are interrupted."""

    name = "resuming"

    def __init__(self, port: int, ledger: Ledger, number: int = 0) -> None:
        """Begin with no upload."""
        super().__init__(port, ledger, number)
        self._open: list[Unfinished] = []

    def step(self) -> Fate:
        """Begin an upload, or continue one."""
        if not self._open or (len(self._open) < OPEN and self.rng.random() < 0.3):
            return self._begin()
        upload = self.rng.choice(self._open)
        fate = look(self.port, self.ledger, upload) if self.rng.random() < 0.5 else Fate.DONE
        if fate is Fate.DONE and upload.item is None:
            left = upload.content.size - upload.told
            fate = self._append(upload, left if self.rng.random() < 0.5 else self.rng.randint(0, left))
        if upload.item is not None:
            self._open.remove(upload)
        return fate

    def _begin(self) -> Fate:
        upload = Unfinished("", self.ledger.content(self.rng, SIZES)[0])
        fate = begin(self.port, self.ledger, upload)
        if fate is Fate.DONE:
            self.ledger.unfinished.append(upload)
            self._open.append(upload)
        return fate

    def _append(self, upload: Unfinished, size: int) -> Fate:
        cut = self.rng.randint(0, size) if self.rng.random() < 0.3 else None
        reply = append(self.port, upload, size, cut=cut)
        fate = self.ledger.count("cut resumable" if cut is not None else "append", reply)
        told(self.ledger, upload, reply)
        return fate


class Joining(Role):
    """Uploads parts by themselves and has them joined."""

    name = "joining"

    def __init__(self, port: int, ledger: Ledger, number: int = 0) -> None:
        """Begin with no parts."""
        super().__init__(port, ledger, number)
        self._joined: Joined | None = None

    def step(self) -> Fate:
        """Begin a part, continue one, or have all of them joined."""
        if self._joined is None or self._joined.is_over:
            sizes = SIZES[-1:] if self.rng.random() < LARGE else SIZES[:-1]
            self._joined = Joined([Unfinished("", self.ledger.content(self.rng, sizes)[0]) for _ in range(PARTS)])
            self.ledger.joined.append(self._joined)
        return join(self.port, self.ledger, self._joined)


def begin(port: int, ledger: Ledger, upload: Unfinished, **concat: str) -> Fate:
    """Begin an upload."""
    length = str(upload.content.size)
    reply = ask(port, "POST", "/uploads/streams", None, {**TUS, **concat, "Upload-Length": length})
    fate = ledger.count("begin resumable", reply)
    if fate is Fate.REFUSED:
        ledger.lose(f"resumable: a beginning was answered {reply.status}")
    if fate is Fate.DONE:
        upload.path = urlsplit(reply.headers["location"]).path
    return fate


def join(port: int, ledger: Ledger, joined: Joined) -> Fate:
    """Do what comes next for parts that are to be joined."""
    part = next((part for part in joined.parts if part.told < part.content.size), None)
    if part is None:
        return _join(port, ledger, joined)
    if not part.path:
        return begin(port, ledger, part, **{"Upload-Concat": "partial"})
    fate = look(port, ledger, part)
    if fate is Fate.DONE and part.told < part.content.size:
        reply = append(port, part, part.content.size - part.told)
        told(ledger, part, reply)
        fate = ledger.count("append part", reply)
    return fate


def _join(port: int, ledger: Ledger, joined: Joined) -> Fate:
    """Have complete parts joined; the same request once more gets the same answer."""
    concat = f"final;{' '.join(part.path for part in joined.parts)}"
    joined.digest = joined.digest or ledger.know(b"".join(part.content.make() for part in joined.parts))
    reply = ask(port, "POST", "/uploads/streams", None, {**TUS, "Upload-Concat": concat})
    fate = ledger.count("join parts", reply)
    result = reply.headers.get("upload-result")
    if result is not None:
        joined.item = Item("parts", f"/v1/streams/{json.loads(unquote(result))['id']}", joined.digest)
        ledger.items.append(joined.item)
        ledger.answered.add(joined.digest)
    elif fate is Fate.REFUSED:
        joined.refused = True
        if b"different hosts" not in reply.body:
            ledger.lose(f"joining parts: answered {reply.status} {reply.body!r}")
    return fate


def look(port: int, ledger: Ledger, upload: Unfinished) -> Fate:
    """Ask how far an upload is."""
    reply = ask(port, "HEAD", upload.path, None, TUS)
    told(ledger, upload, reply)
    if reply.fate is Fate.DONE and "upload-offset" not in reply.headers:
        ledger.lose(f"resumable {upload.path}: HEAD tells no offset")
    return ledger.count("look at resumable", reply)


def append(port: int, upload: Unfinished, size: int, *, cut: int | None = None) -> Reply:
    """Append this many bytes at the offset that was last given; hang up after `cut` of them."""
    headers = {"Upload-Offset": str(upload.told), "Content-Type": "application/offset+octet-stream"}
    data = upload.content.make()[upload.told : upload.told + size]
    body = data if cut is None else _broken(data[:cut])
    return ask(port, "PATCH", upload.path, body, {**TUS, **headers, "Content-Length": str(size)})


def told(ledger: Ledger, upload: Unfinished, reply: Reply) -> None:
    """Compare a response with what was told before, and remember it."""
    offset = reply.headers.get("upload-offset")
    if offset is not None:
        if not upload.told <= int(offset) <= upload.content.size:
            ledger.lose(f"resumable {upload.path}: resumes at {offset} of {upload.content.size}, was at {upload.told}")
        upload.told = max(upload.told, int(offset))
    elif reply.status in (404, 410) and not upload.lost:
        upload.lost = True
        ledger.lose(f"resumable {upload.path}: answered {reply.status} after {upload.told} bytes")
    result = reply.headers.get("upload-result")
    if result is not None and upload.item is None:
        digest = upload.content.digest
        upload.item = Item("resumable", f"/v1/streams/{json.loads(unquote(result))['id']}", digest)
        ledger.items.append(upload.item)
        ledger.answered.add(digest)


def _broken(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]
    raise ConnectionAbortedError
