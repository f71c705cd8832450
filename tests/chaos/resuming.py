"""Resumable uploads under chaos. An offset that a client was told never goes back, whatever is killed or lost power."""

import json
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from tests.chaos.ledger import Item, Ledger, Unfinished
from tests.chaos.load import KIB, MIB, Role
from tests.chaos.wire import Fate, Reply, ask

SIZES = (64 * KIB, 300 * KIB, 3 * MIB, 12 * MIB)  # the last is one that nginx announces before its first byte
OPEN = 4  # uploads of a client at a time
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = 64 * KIB


class Resuming(Role):
    """Uploads piece by piece; some requests break off in the middle."""

    name = "resuming"

    def __init__(self, port: int, ledger: Ledger, number: int = 0) -> None:
        """Begin with no upload."""
        super().__init__(port, ledger, number)
        self._open: list[Unfinished] = []

    def step(self) -> Fate:
        """Begin an upload, or go on with one."""
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
        content, data = self.ledger.content(self.rng, SIZES)
        reply = ask(self.port, "POST", "/uploads/streams", None, {**TUS, "Upload-Length": str(len(data))})
        fate = self.ledger.count("begin resumable", reply)
        if fate is Fate.REFUSED:
            self.ledger.lose(f"resumable: a beginning was answered {reply.status}")
        if fate is Fate.DONE:
            upload = Unfinished(urlsplit(reply.headers["location"]).path, content)
            self.ledger.unfinished.append(upload)
            self._open.append(upload)
        return fate

    def _append(self, upload: Unfinished, size: int) -> Fate:
        cut = self.rng.randint(0, size) if self.rng.random() < 0.3 else None
        reply = append(self.port, upload, size, cut=cut)
        fate = self.ledger.count("cut resumable" if cut is not None else "append", reply)
        told(self.ledger, upload, reply)
        return fate


def look(port: int, ledger: Ledger, upload: Unfinished) -> Fate:
    """Ask how far an upload is."""
    reply = ask(port, "HEAD", upload.path, None, TUS)
    told(ledger, upload, reply)
    if reply.fate is Fate.DONE and "upload-offset" not in reply.headers:
        ledger.lose(f"resumable {upload.path}: HEAD tells no offset")
    return ledger.count("look at resumable", reply)


def append(port: int, upload: Unfinished, size: int, *, cut: int | None = None) -> Reply:
    """Append so many bytes where it was last said to go on; hang up after `cut` of them."""
    headers = {"Upload-Offset": str(upload.told), "Content-Type": "application/offset+octet-stream"}
    data = upload.content.make()[upload.told : upload.told + size]
    body = data if cut is None else _broken(data[:cut])
    return ask(port, "PATCH", upload.path, body, {**TUS, **headers, "Content-Length": str(size)})


def told(ledger: Ledger, upload: Unfinished, reply: Reply) -> None:
    """Hold a response against what was told before, and remember it."""
    offset = reply.headers.get("upload-offset")
    if offset is not None:
        if not upload.told <= int(offset) <= upload.content.size:
            ledger.lose(f"resumable {upload.path}: goes on at {offset} of {upload.content.size}, was at {upload.told}")
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
