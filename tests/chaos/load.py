"""The load: clients upload, read, delete and join all the time. `fetches`, `onetime` and `queueing` have more roles.

Each role is a thread with its own items, so it knows what must be true of them.
"""

import hashlib
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import requests

from tests.chaos.ledger import Item, Ledger, State
from tests.chaos.wire import Fate, Reply, ask, form, query

KIB, MIB = 1024, 1024**2
SIZES = (200, 4 * KIB, 64 * KIB, 64 * KIB, 300 * KIB, 3 * MIB)  # in memory or on disk at nginx, in one packet or many
SMALL = (200, 4 * KIB, 40 * KIB)  # where nothing can be deleted
LIVE = 24  # items of a role that it lets live at a time
KEPT = 8  # one in so many stays until the end
# Only one host has the bytes, so it may have to start first; then a lost message is sent again after a minute.
JOIN_SECONDS = 240
PAUSE = 0.05  # seconds while nothing can be asked


class Role:
    """A client that works until it is stopped."""

    name: ClassVar[str]

    def __init__(self, port: int, ledger: Ledger, number: int = 0) -> None:
        """Begin with nothing of its own; the number tells several of a kind apart."""
        self.port = port
        self.ledger = ledger
        self.rng = random.Random(f"{ledger.seed}/{self.name}/{number}")
        self.mine: list[Item] = []
        self.made = 0
        self.stopped = threading.Event()

    def run(self, stopped: threading.Event) -> None:
        """Do one thing after the other."""
        self.stopped = stopped
        while not stopped.is_set():
            if self.step() in (Fate.UNSENT, Fate.UNKNOWN):
                stopped.wait(PAUSE)

    def step(self) -> Fate:
        """Do something; return how it ended."""
        raise NotImplementedError

    def keep(self, item: Item) -> Item:
        """Take charge of a new item; some are left alone until the end."""
        self.ledger.items.append(item)
        self.made += 1
        if self.made % KEPT:
            self.mine.append(item)
        return item

    def read(self, item: Item) -> Fate:
        """Get an item and check it."""
        reply = ask(self.port, "GET", item.path)
        self.ledger.check(item, reply, during="under load")
        return self.ledger.count(f"read {item.kind}", reply)


class Files(Role):
    """Uploads, reads and deletes files of a surface."""

    sizes: Sequence[int] = SIZES
    eager = 0.5  # how much of its time it uploads
    unique = True  # no content is sent twice

    def step(self) -> Fate:
        """Upload, read or delete."""
        if not self.mine or (len(self.mine) < LIVE and self.rng.random() < self.eager):
            return self.create()
        item = self.rng.choice(self.mine)
        if len(self.mine) < LIVE and self.rng.random() < 0.5:
            return self.read(item)
        self.mine.remove(item)
        return self.delete(item)

    def create(self) -> Fate:
        """Upload a new file."""
        data = self.fresh()
        reply, path = self.upload(data)
        fate = self.ledger.count(f"upload {self.name}", reply)
        if fate is Fate.REFUSED:
            self.ledger.lose(f"{self.name}: an upload was answered {reply.status}")
        if fate is Fate.DONE and self.unique:
            self.ledger.answered.add(hashlib.sha256(data).hexdigest())
        if path is not None and fate in (Fate.DONE, Fate.UNKNOWN):
            state = State.THERE if fate is Fate.DONE else State.UNKNOWN
            self.keep(Item(self.name, path, hashlib.sha256(data).hexdigest(), state))
        return fate

    def fresh(self) -> bytes:
        """Return the content to upload next."""
        return self.ledger.content(self.rng, self.sizes)[1]

    def upload(self, data: bytes) -> tuple[Reply, str | None]:
        """Upload bytes; return the response, and the path of the file if it is known."""
        raise NotImplementedError

    def delete(self, item: Item) -> Fate:
        """Delete an item, and check that it is gone."""
        reply = ask(self.port, "DELETE", item.path)
        fate = self.ledger.count(f"delete {item.kind}", reply)
        if fate is Fate.DONE:
            item.end(reply.ended_at)
            if item.state is State.GONE and self.rng.random() < 0.5:
                return self.read(item)
            return fate
        if reply.status == 404 and item.state is State.THERE:
            self.ledger.lose(f"{item.kind} {item.path}: 404 to its DELETE although it is there")
        if fate is not Fate.UNSENT:
            item.doubt()
        return fate


class Streams(Files):
    """Raw streams, and streams joined of others."""

    name = "streams"
    sizes = (*SIZES, *SIZES, 9 * MIB)  # one that nginx announces before its first byte

    def step(self) -> Fate:
        """Join now and then."""
        return self.join() if len(self.mine) > 3 and self.rng.random() < 0.25 else super().step()

    def upload(self, data: bytes) -> tuple[Reply, str | None]:
        """Post a stream."""
        reply = ask(self.port, "POST", "/v1/streams", data)
        return reply, created(reply)

    def join(self) -> Fate:
        """Join a few streams that are there."""
        sources = self.rng.sample(self.mine, 3)
        bodies = [ask(self.port, "GET", item.path) for item in sources]
        if not all(reply.status == 200 and reply.complete for reply in bodies):
            return Fate.UNKNOWN
        digest = self.ledger.know(b"".join(reply.body for reply in bodies))
        wanted = {"streams": [item.path.rsplit("/", 1)[1] for item in sources]}
        reply = ask(self.port, "POST", "/v1/streams:join", json.dumps(wanted).encode())
        fate = self.ledger.count("join", reply)
        path = created(reply)
        if reply.status == requests.codes.accepted and path is not None and not self._is_joined(path):
            return Fate.UNKNOWN
        if fate is Fate.DONE and path is not None:
            self.keep(Item("joined", path, digest))
        elif fate is Fate.REFUSED and all(item.state is State.THERE for item in sources):
            self.ledger.lose(f"join: answered {reply.status} although all its streams are there")
        return fate

    def _is_joined(self, path: str) -> bool:
        """Wait for the workers, unless the power is cut for good; return whether they have made the stream."""
        status = path.replace("/streams/", "/joins/")
        deadline = time.monotonic() + JOIN_SECONDS
        while time.monotonic() < deadline:
            reply = ask(self.port, "GET", status)
            state = json.loads(reply.body)["state"] if reply.status == requests.codes.ok else "fetching"
            if state != "fetching":
                return bool(state == "available")
            if self.stopped.wait(0.1):
                return False
        self.ledger.lose(f"join {path}: still not done after {JOIN_SECONDS} s")
        return False


class Store(Files):
    """Files by the hash of their content, the same content again included."""

    name = "store"
    unique = False

    def __init__(self, port: int, ledger: Ledger, number: int = 0) -> None:
        """Begin with nothing deleted."""
        super().__init__(port, ledger, number)
        self._deleted: list[tuple[Item, bytes]] = []
        self._made: dict[str, bytes] = {}
        self._pending: set[str] = set()

    def fresh(self) -> bytes:
        """Return new content, or deleted content to store again."""
        if self._deleted and self.rng.random() < 0.5:
            former, data = self._deleted.pop()
            former.state, former.gone_at = State.UNKNOWN, None  # the client that stores it again accounts for it
            return data
        return super().fresh()

    def upload(self, data: bytes) -> tuple[Reply, str | None]:
        """Post content, raw or as a form."""
        body, headers = form("a.bin", data) if self.rng.random() < 0.4 else (data, {"Content-Type": "text/plain"})
        path = f"/?file_hash={hashlib.sha256(data).hexdigest()}"
        reply = ask(self.port, "POST", "/", body, headers)
        if reply.fate is Fate.DONE and self.rng.random() < 0.3:  # the same content once more
            again = ask(self.port, "POST", "/", body, headers)
            if self.ledger.count("upload store again", again) is Fate.UNKNOWN:
                self._pending.add(path)
        if len(data) <= SIZES[2]:
            self._made[path] = data
        return reply, path

    def keep(self, item: Item) -> Item:
        """Take charge of a new item; an upload of it whose response was lost may still be running."""
        item.haunted = item.state is State.UNKNOWN or item.path in self._pending
        return super().keep(item)

    def delete(self, item: Item) -> Fate:
        """Delete an item, and remember its content."""
        fate = super().delete(item)
        data = self._made.pop(item.path, None)
        if data is not None and item.state is State.GONE:
            self._deleted.append((item, data))
        return fate


class Named(Files):
    """Files by names that the client chooses."""

    name = "named"
    sizes = SMALL
    eager = 0.1

    def upload(self, data: bytes) -> tuple[Reply, str | None]:
        """Post a file under a new name, raw or as a form."""
        name = f"{self.ledger.seed}-{self.rng.getrandbits(64):016x}.txt"
        if self.rng.random() < 0.5:
            reply = ask(self.port, "POST", f"/upload/{name}", data)
        else:
            reply = ask(self.port, "POST", "/upload", *form(name, data))
        return reply, f"/download/{name}"

    def delete(self, item: Item) -> Fate:
        """Leave it alone: the surface deletes nothing."""
        return self.read(item)


class Transfer(Files):
    """Files by sealed ids."""

    name = "transfer"
    sizes = SMALL
    eager = 0.1

    def upload(self, data: bytes) -> tuple[Reply, str | None]:
        """Post a form."""
        reply = ask(self.port, "POST", "/uploadFile", *form("ä name.bin", data))
        return reply, sealed(reply)

    def delete(self, item: Item) -> Fate:
        """Leave it alone: the surface deletes nothing."""
        return self.read(item)


def created(reply: Reply) -> str | None:
    """Return the path of a stream, from the response to its upload."""
    return f"/v1/streams/{json.loads(reply.body)['id']}" if reply.fate is Fate.DONE else None


def sealed(reply: Reply) -> str | None:
    """Return the path of a file, from the response with its sealed id."""
    return f"/downloadFile?{query(file_id=json.loads(reply.body)['file_id'])}" if reply.fate is Fate.DONE else None


@contextmanager
def working(roles: Sequence[Role]) -> Iterator[threading.Event]:
    """Run roles, each in a thread of its own, until the block ends or sets the event."""
    stopped, errors = threading.Event(), []

    def run(role: Role) -> None:
        try:
            role.run(stopped)
        except BaseException as error:  # noqa: BLE001 -- raised below, in the thread that waits
            errors.append(error)
            stopped.set()

    threads = [threading.Thread(target=run, args=[role], name=role.name) for role in roles]
    for thread in threads:
        thread.start()
    try:
        yield stopped
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
