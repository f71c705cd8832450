"""Queues under chaos: producers and consumers. A confirmed stream is gone for good; a taken one has one consumer."""

import hashlib
import json

from tests.chaos.ledger import Item, Queued, State
from tests.chaos.load import KIB, Role, created
from tests.chaos.wire import Fate, Reply, ask

QUEUE = "/v1/queues/jobs"
SIZES = (200, 4 * KIB, 100 * KIB)
HIDDEN = 20  # seconds that a taken stream is hidden
LONGEST = 40  # streams in the queue that producers let it grow to


class Producer(Role):
    """Puts streams into the queue."""

    name = "producer"

    def step(self) -> Fate:
        """Put a stream there, or look at the queue."""
        waiting = sum(queued.item.state is State.THERE for queued in list(self.ledger.queued.values()))
        if waiting >= LONGEST:
            reply = ask(self.port, "GET", f"{QUEUE}/streams")
            self.ledger.count("list queue", reply)
            return Fate.UNSENT  # so that it waits a little
        _, data = self.ledger.content(self.rng, SIZES)
        reply = ask(self.port, "POST", f"{QUEUE}/streams", data)
        fate = self.ledger.count("enqueue", reply)
        path = created(reply)
        if path is not None:
            item = Item("queued", path, hashlib.sha256(data).hexdigest())
            self.ledger.items.append(item)
            self.ledger.answered.add(item.digest)
            self.ledger.queued[path.rsplit("/", 1)[1]] = Queued(item)
        return fate


class Consumer(Role):
    """Takes streams, reads them, and confirms most."""

    name = "consumer"

    def step(self) -> Fate:
        """Take a stream, if there is one."""
        reply = ask(self.port, "POST", f"{QUEUE}/take?seconds={HIDDEN}")
        if self.ledger.count("take", reply) is not Fate.DONE:
            return Fate.UNSENT
        taken = json.loads(reply.body)
        queued = self.ledger.queued.get(taken["id"])
        if queued is None:
            return Fate.DONE  # its producer has not heard of it yet, and perhaps never will
        self.check_take(queued, reply)
        queued.takes.append((reply, HIDDEN))
        read = ask(self.port, "GET", queued.item.path)
        self.ledger.count("read queued", read)
        if read.heard_at < reply.sent_at + HIDDEN:  # else another client may have had it
            self.ledger.check(queued.item, read, during="while it is taken")
        if self.rng.random() < 0.15:
            return Fate.DONE  # a consumer that dies: the stream comes back
        return self._confirm(queued, taken, reply)

    def check_take(self, queued: Queued, reply: Reply) -> None:
        """Compare the response to a take with what other consumers were told."""
        item = queued.item
        if item.gone_at is not None and item.gone_at < reply.sent_at:
            self.ledger.lose(f"queued {item.path}: taken although it was confirmed")
        for other, seconds in list(queued.takes):
            if other.heard_at < reply.sent_at and reply.heard_at < other.sent_at + seconds:
                self.ledger.double(f"queued {item.path}: taken by two at once")

    def _confirm(self, queued: Queued, taken: dict[str, str], take: Reply) -> Fate:
        item = queued.item
        reply = ask(self.port, "DELETE", f"{QUEUE}/streams/{taken['id']}?receipt={taken['receipt']}")
        fate = self.ledger.count("confirm", reply)
        if fate is Fate.DONE:
            item.end(reply.ended_at)
        elif fate is Fate.UNKNOWN:
            item.doubt()
        elif fate is Fate.REFUSED and item.state is State.THERE and reply.heard_at < take.sent_at + HIDDEN:
            self.ledger.lose(f"queued {item.path}: answered {reply.status} to who has taken it")
        return fate
