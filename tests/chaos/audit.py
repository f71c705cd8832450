"""The audit: after the kills, compare what the service promised with what is there."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.chaos import inside, resuming, rules
from tests.chaos.inside import Delivery
from tests.chaos.killer import RECOVERY_SECONDS
from tests.chaos.ledger import Item, Joined, Ledger, OneTime, State, Unfinished, attempt
from tests.chaos.onetime import password_header
from tests.chaos.queueing import QUEUE
from tests.chaos.wire import ask
from tests.services import Service, await_

READERS = 4
SETTLING_SECONDS = 900  # lost messages are sent again after a minute
LOOK_SECONDS = 4  # between two leaps in time; a few sweeps


class Audit:
    """One audit of a service."""

    def __init__(self, service: Service, ledger: Ledger) -> None:
        """Prepare."""
        self.reconciled: Counter[str] = Counter()
        self.read = 0
        self.used_up = 0
        self.in_doubt = 0
        self._service = service
        self._ledger = ledger

    def run(self) -> None:
        """Wait until the service has done what is due, then look at everything."""
        await_(self._answers, RECOVERY_SECONDS)
        with inside.inside(self._service):
            with ThreadPoolExecutor(READERS) as pool:
                list(pool.map(self._finish, self._ledger.unfinished))
                list(pool.map(self._join, self._ledger.joined))
            self._settle()
            deliveries = defaultdict(list)
            for delivery in inside.journal():
                deliveries[delivery.key].append(delivery)
            with ThreadPoolExecutor(READERS) as pool:
                doubtful = inside.in_doubt()
                self.in_doubt = len(doubtful)
                once = self._ledger.once
                looks = [pool.submit(self._once, file, deliveries[file.key], file.key in doubtful) for file in once]
                looks += [pool.submit(self._item, item) for item in self._ledger.items]
                for look in looks:
                    look.result()
            self.read = len(looks)
            self._queue()
            self._settle()
            for digest, path in inside.orphans():
                if digest in self._ledger.answered:  # so its upload had ended well, and a purge should have had it
                    self._ledger.leak(f"bytes of a file that was deleted: {path}")
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

    def _finish(self, upload: Unfinished) -> None:
        """Send the rest of a resumable upload: the bytes that its client was promised must be there."""
        try:
            await_(lambda: self._is_over(upload), RECOVERY_SECONDS)
        except AssertionError:
            self._ledger.lose(f"resumable {upload.path}: cannot be finished after {upload.told} bytes")

    def _join(self, joined: Joined) -> None:
        """Have parts joined that were left."""

        def is_over() -> bool:
            if not joined.is_over:
                resuming.join(self._service.port, self._ledger, joined)
            return joined.is_over

        try:
            await_(is_over, RECOVERY_SECONDS)
        except AssertionError:
            self._ledger.lose(f"parts {[part.path for part in joined.parts]}: cannot be joined")

    def _is_over(self, upload: Unfinished) -> bool:
        if upload.item is None:
            rest = upload.content.size - upload.told
            resuming.told(self._ledger, upload, resuming.append(self._service.port, upload, rest))
        if upload.item is None:
            resuming.look(self._service.port, self._ledger, upload)
        return upload.item is not None or upload.lost

    def _settle(self) -> None:
        """Let time pass until nothing is due any more and everything taken is free again."""
        for queued in self._ledger.queued.values():
            queued.takes.clear()
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
        """Check that the queue holds what was put there and not confirmed."""
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

    def _once(self, file: OneTime, deliveries: Sequence[Delivery], in_doubt: bool) -> None:  # noqa: FBT001
        journalled = self._service.profile == "production"
        for sentence in rules.doubled(file, deliveries):
            self._ledger.double(f"once {file.path}: {sentence}")
        for sentence in rules.wronged(file, deliveries, journalled=journalled):
            self._ledger.lose(f"once {file.path}: {sentence}")
        right = {423} if in_doubt else rules.answers(file, deliveries, journalled=journalled)
        reply = ask(self._service.port, "GET", file.path, headers=password_header(file))
        self.used_up += reply.status == 410
        if reply.status == 200:  # so that an audit after this one knows who has used it up
            file.attempts.append(attempt(reply, start=0))
        if reply.status == 200 and reply.status not in right:
            self._ledger.double(f"once {file.path}: sent at the end although it was used up")
        elif reply.status not in right or (reply.status == 200 and reply.body != file.content.make()):
            told = f"{reply.status}, {len(reply.body)} of {file.content.size} bytes"
            self._ledger.lose(f"once {file.path}: answered {told} at the end; right is {right}")
