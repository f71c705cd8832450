"""The ledger of promises: every response that a client may rely on is recorded here and checked later.

An operation whose response was lost may have happened or not. Its item is then UNKNOWN: it must either exist with the
right bytes or be gone. An item belongs to one thread of the load at a time.
"""

import hashlib
import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from tests.chaos.wire import Fate, Reply


class State(StrEnum):
    """What must be true of an item."""

    THERE = "there"
    COMING = "coming"  # a fetch that was accepted: there, in the end
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass
class Content:
    """Bytes that can be generated again."""

    seed: str
    size: int

    def make(self) -> bytes:
        """Return the bytes."""
        return random.Random(self.seed).randbytes(self.size)

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes."""
        return hashlib.sha256(self.make()).hexdigest()


@dataclass
class Item:
    """A file that a client knows how to ask for."""

    kind: str
    path: str  # to GET it
    digest: str = ""  # SHA-256 of its content
    state: State = State.THERE
    gone_at: float | None = None  # when a client knew so
    haunted: bool = False  # an upload whose response was lost may still be running

    def end(self, moment: float) -> None:
        """Note that a client was told that it is gone; from then on it must stay gone."""
        if self.haunted:
            self.state = State.UNKNOWN
        else:
            self.state, self.gone_at = State.GONE, moment

    def doubt(self) -> None:
        """Note that the outcome of something that would end it is not known."""
        if self.state is not State.GONE:
            self.state = State.UNKNOWN


@dataclass
class Attempt:
    """A download of a one-time file whose response had bytes."""

    resume_token: str
    start: int  # the first byte that was asked for
    received: int  # bytes
    reply: Reply

    def reaches(self, size: int) -> bool:
        """Return whether the client has the file's last byte."""
        return self.reply.complete and self.start + self.received == size


def attempt(reply: Reply, *, start: int) -> Attempt:
    """Return what to remember of a response with bytes of a one-time file, from `start` if it is a range."""
    begin = start if reply.status == 206 else 0
    resume_token = reply.headers.get("x-download-grant", "")
    return Attempt(resume_token, begin, len(reply.body), replace(reply, body=b""))


@dataclass
class OneTime:
    """A one-time file and all that clients saw of it."""

    path: str
    content: Content
    password: str | None
    attempts: list[Attempt] = field(default_factory=list)
    told_gone: bool = False  # some client got 410

    @property
    def key(self) -> str:
        """The last part of its link."""
        return self.path.rsplit("/", 1)[1]


@dataclass
class Queued:
    """A stream in a queue, and who has taken it until when."""

    item: Item
    takes: list[tuple[Reply, float]] = field(default_factory=list)  # the answer, and for how many seconds


@dataclass
class Unfinished:
    """A resumable upload as far as its client was told."""

    path: str  # "" until it is begun
    content: Content
    told: int = 0  # the largest offset that it was told
    item: Item | None = None  # the file that it has become
    lost: bool = False  # the service knows it no more


@dataclass
class Joined:
    """Partial uploads that are to become one stream."""

    parts: list[Unfinished]
    digest: str = ""  # of what they become, once they are to be joined
    item: Item | None = None  # the stream that they have become
    refused: bool = False  # as documented: they are on different hosts

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be done for it."""
        return self.item is not None or self.refused or any(part.lost for part in self.parts)


class Ledger:
    """All promises of a run; any thread may write."""

    def __init__(self, seed: str) -> None:
        """Begin with nothing promised."""
        self.seed = seed
        self.items: list[Item] = []
        self.once: list[OneTime] = []
        self.queued: dict[str, Queued] = {}
        self.unfinished: list[Unfinished] = []
        self.joined: list[Joined] = []
        self.digests: set[str] = set()  # of all that was ever sent
        self.answered: set[str] = set()  # of those, files sent only once and stored as the client was told
        self.lost: list[str] = []
        self.doubled: list[str] = []
        self.leaked: list[str] = []
        self.operations: Counter[tuple[str, Fate]] = Counter()
        self.statuses: Counter[tuple[str, int]] = Counter()
        self._number = 0
        self._lock = threading.Lock()

    def content(self, rng: random.Random, sizes: Sequence[int]) -> tuple[Content, bytes]:
        """Make new bytes, unlike all others, of one of the sizes or a little less."""
        with self._lock:
            self._number += 1
            number = self._number
        content = Content(f"{self.seed}:{number}", max(32, rng.choice(sizes) - rng.randrange(32)))
        data = content.make()
        self.know(data)
        return content, data

    def know(self, data: bytes) -> str:
        """Note that these bytes are sent, and return their digest."""
        digest = hashlib.sha256(data).hexdigest()
        with self._lock:
            self.digests.add(digest)
        return digest

    def count(self, what: str, reply: Reply) -> Fate:
        """Count an operation by how it ended."""
        with self._lock:
            self.operations[what, reply.fate] += 1
            self.statuses[what, reply.status] += 1
        return reply.fate

    def lose(self, sentence: str) -> None:
        """Note that a promise was broken."""
        with self._lock:
            self.lost.append(sentence)

    def double(self, sentence: str) -> None:
        """Note that a client was handed what another one had or has."""
        with self._lock:
            self.doubled.append(sentence)

    def leak(self, sentence: str) -> None:
        """Note that something was left behind."""
        with self._lock:
            self.leaked.append(sentence)

    @property
    def done(self) -> int:
        """How many operations ended well."""
        with self._lock:
            return sum(number for (_, fate), number in self.operations.items() if fate is Fate.DONE)

    def check(self, item: Item, reply: Reply, *, during: str) -> None:
        """Compare the response to a GET of an item with what was promised."""
        told = f"{item.kind} {item.path} {during}"
        if reply.status == 200 and reply.complete:
            if hashlib.sha256(reply.body).hexdigest() != item.digest:
                self.lose(f"{told}: other bytes than were sent ({len(reply.body)})")
            elif item.gone_at is not None and item.gone_at < reply.sent_at:
                self.lose(f"{told}: sent although it is gone")
        elif reply.status in (404, 410) and item.state in (State.THERE, State.COMING):
            self.lose(f"{told}: answered {reply.status} although it is {item.state}")
        elif reply.status == 425 and item.state is State.THERE:
            self.lose(f"{told}: answered 425 although it is there")
        elif reply.fate is Fate.REFUSED and reply.status not in (404, 410, 425):
            self.lose(f"{told}: answered {reply.status}")
