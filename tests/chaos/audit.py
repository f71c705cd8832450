"""The audit: when nobody kills any more, what was promised is held against what is there."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

from tests.chaos import inside
from tests.chaos.inside import Delivery
from tests.chaos.killer import RECOVERY_SECONDS
from tests.chaos.ledger import Attempt, Item, Ledger, OneTime, State, attempt
from tests.chaos.onetime import UNREAD, password_header
from tests.chaos.queueing import QUEUE
from tests.chaos.wire import ask
from tests.services import SETTINGS, Service, await_

READERS = 4
SETTLING_SECONDS = 900  # what was called for and got lost is called for again after a minute
LOOK_SECONDS = 20  # between two leaps in time
LEASE_SECONDS = float(SETTINGS["LEASE_SECONDS"])
LEASE_RATE = 64 * 1024**2  # bytes per second, LEASE_MIN_RATE


class Audit:
    """One audit of a service."""

    def __init__(self, service: Service, ledger: Ledger) -> None:
        """Prepare."""
        self.reconciled: Counter[str] = Counter()
        self.read = 0
        self.used_up = 0
        self._service = service
        self._ledger = ledger

    def run(self) -> None:
        """Wait until the service has done what is due, then look at everything."""
        await_(self._answers, RECOVERY_SECONDS)
        with inside.inside(self._service):
            self._settle()
            deliveries = defaultdict(list)
            for delivery in inside.journal():
                deliveries[delivery.key].append(delivery)
            with ThreadPoolExecutor(READERS) as pool:
                looks = [pool.submit(self._once, file, deliveries[file.key]) for file in self._ledger.once]
                looks += [pool.submit(self._item, item) for item in self._ledger.items]
                for look in looks:
                    look.result()
            self.read = len(looks)
            self._queue()
            self._settle()
            self.reconciled, remaining = inside.reconcile()
            for finding in remaining:
                note = self._ledger.leak if finding.kind == "overdue" else self._ledger.lose
                note(f"reconciliation: {finding.kind} {finding.about}")
            for sentence in (*inside.damage(), *inside.rows_without_bytes(self._ledger.digests)):
                self._ledger.lose(sentence)
            for sentence in inside.leftovers():
                self._ledger.leak(sentence)

    def _answers(self) -> bool:
        self._ledger.know(b"x")
        return ask(self._service.port, "POST", "/v1/streams", b"x").status == 201

    def _settle(self) -> None:
        """Let time pass until nothing is due any more."""
        deadline = time.monotonic() + SETTLING_SECONDS
        while inside.unsettled() and time.monotonic() < deadline:
            inside.let_time_pass()
            self._look_on(time.monotonic() + LOOK_SECONDS)
        for what, number in inside.unsettled().items():
            self._ledger.leak(f"{number} rows are stuck: {what}")

    def _look_on(self, until: float) -> None:
        await_(lambda: not inside.unsettled() or time.monotonic() > until, 10 * LOOK_SECONDS)

    def _item(self, item: Item) -> None:
        reply = ask(self._service.port, "GET", item.path)
        self._ledger.check(item, reply, during="at the end")
        if not reply.complete or reply.status not in (200, 404, 410):
            self._ledger.lose(f"{item.kind} {item.path}: answered {reply.status} at the end, it is {item.state}")

    def _queue(self) -> None:
        """Look whether the queue holds what was put there and not confirmed."""
        listed: set[str] = set()
        following = ""
        while True:
            page = json.loads(ask(self._service.port, "GET", f"{QUEUE}/streams?limit=500{following}").body)
            listed |= {entry["id"] for entry in page["streams"]}
            if page["next"] is None:
                break
            following = f"&after={page['next']}"
        for key, queued in self._ledger.queued.items():
            if queued.item.state is State.THERE and key not in listed:
                self._ledger.lose(f"queued {key}: is not in the queue")
            if queued.item.state is State.GONE and key in listed:
                self._ledger.lose(f"queued {key}: is in the queue although it was confirmed")

    def _once(self, file: OneTime, deliveries: list[Delivery]) -> None:
        size = file.content.size
        confirmed = {delivery.grant for delivery in deliveries if delivery.span == (0, size)}
        for sentence in (*_twice(file, confirmed), *_at_once(file)):
            self._ledger.double(f"once {file.path}: {sentence}")
        for sentence in _unread(file, confirmed):
            self._ledger.lose(f"once {file.path}: {sentence}")
        perhaps = any(_covered(deliveries, delivery.grant, size) for delivery in deliveries)
        if self._service.profile == "embedded":  # no journal: whoever got to the end may have used it up
            perhaps = perhaps or any(attempt.start + attempt.received == size for attempt in file.attempts)
        elif file.told_gone and not perhaps:
            self._ledger.lose(f"once {file.path}: somebody was told that it is gone, and nobody has had it")
        must = {410} if confirmed or file.told_gone else {200, 410} if perhaps else {200}
        reply = ask(self._service.port, "GET", file.path, headers=password_header(file))
        self.used_up += reply.status == 410
        if reply.status == 200:  # so that an audit after this one knows who has used it up
            file.attempts.append(attempt(reply, start=0))
        if reply.status not in must or (reply.status == 200 and reply.body != file.content.make()):
            told = f"{reply.status}, {len(reply.body)} of {size} bytes"
            self._ledger.lose(f"once {file.path}: answered {told} at the end; it must be {must}")


def _twice(file: OneTime, confirmed: set[str]) -> Iterator[str]:
    """Yield where somebody was sent the file who asked after it was used up."""
    for grant in confirmed:
        ends = [one.reply.ended_at for one in _under(file, grant) if one.reaches(file.content.size)]
        for other in file.attempts:
            if ends and other.grant != grant and other.reply.sent_at > max(ends):
                yield f"sent again {other.reply.sent_at - max(ends):.3f} s after it was used up"


def _at_once(file: OneTime) -> Iterator[str]:
    """Yield where somebody was sent the file while another was downloading it within its lease."""
    lease = LEASE_SECONDS + file.content.size / LEASE_RATE
    for one, other in permutations(file.attempts, 2):
        held_until = min(one.reply.sent_at + lease, one.reply.ended_at)
        overlaps = one.reply.heard_at < other.reply.sent_at and other.reply.heard_at < held_until
        if overlaps and one.grant != other.grant:
            yield "sent to two at once"


def _unread(file: OneTime, confirmed: set[str]) -> Iterator[str]:
    """Yield where it counts as used up by somebody who has not had it."""
    for grant in confirmed:
        if max((one.received for one in _under(file, grant)), default=-1) < file.content.size - UNREAD:
            yield "used up by somebody who has not had it"


def _under(file: OneTime, grant: str) -> list[Attempt]:
    return [attempt for attempt in file.attempts if attempt.grant == grant and attempt.start == 0]


def _covered(deliveries: list[Delivery], grant: str, size: int) -> bool:
    reached = 0
    for start, stop in sorted(delivery.span for delivery in deliveries if delivery.grant == grant):
        if start <= reached:
            reached = max(reached, stop)
    return reached >= size
