"""Lives of one-time files that hypothesis thinks up, on a real database, beside a model that knows the rules."""

import itertools
from datetime import timedelta

from flask import Flask
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, update

from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.deliveries import confirmations
from vimeo_api.core.deliveries.confirmations import Sent, Ticket
from vimeo_api.core.files import catalog, lifecycle
from vimeo_api.core.files.catalog import NewFile
from vimeo_api.core.files.lifecycle import MOVES

SIZE = 4
PAST = timedelta(seconds=1)
lease_tokens = st.sampled_from(["a" * 32, "b" * 32, "c" * 32])
keys = (f"life-{number}" for number in itertools.count())


class Life(RuleBasedStateMachine):
    """One file; what the database says after each move is what the model says."""

    @initialize(fetched=st.booleans())
    def upload(self, fetched: bool) -> None:  # noqa: FBT001
        self.key = next(keys)
        url = "http://a.example/" if fetched else None
        catalog.add(NewFile("vimeo", self.key, blob=self.key, name="n", size=SIZE, source_url=url))
        found = catalog.find("vimeo", self.key)
        assert found
        self.id = found.id
        self.status: Status | None = Status.FETCHING if fetched else Status.AVAILABLE  # None: the row is no more
        self.keyed = True
        self.lease_token: str | None = None
        self.responses = 0
        self.resumed = self.lapsed = self.purged = False
        self.ranges: dict[str, set[tuple[int, int]]] = {}

    def row(self) -> "statements.AnyRow | None":
        columns = (File.status, File.key, File.lease_token, File.responses, File.resumed, File.purged_at, File.due_at)
        return statements.row(select(*columns).where(File.id == self.id))

    @rule(to=st.sampled_from([Status.FETCHING, Status.FAILED, Status.AVAILABLE]))
    @precondition(lambda self: self.status != Status.LEASED)
    def fetch_goes_on(self, to: Status) -> None:
        allowed = self.status in MOVES[to]
        assert (lifecycle.advance(self.id, to, due_at=None) is not None) == allowed
        if allowed:
            self.status, self.lapsed = to, False

    @rule(lease_token=lease_tokens)
    def lease(self, lease_token: str) -> None:
        free = self.status == Status.AVAILABLE or (
            self.status == Status.LEASED and (self.lapsed or self.lease_token == lease_token)
        )
        response = lifecycle.lease(self.id, lease_token, seconds=60)
        assert response == (self.responses + 1 if free else None)
        if response:
            self.resumed = self.lease_token == lease_token
            self.status, self.lease_token, self.responses, self.lapsed = Status.LEASED, lease_token, response, False

    @rule(lease_token=lease_tokens)
    def lease_at_once(self, lease_token: str) -> None:
        """The short way of a first download."""
        free = self.status == Status.AVAILABLE and not self.responses
        again = self.status == Status.LEASED and self.lease_token == lease_token  # a statement may be repeated
        row = lifecycle.lease_first("vimeo", self.key, lease_token, seconds=60)
        assert (row is not None) == ((free or again) and self.keyed)
        if row is not None:
            assert row.responses == self.responses + 1
            self.status, self.lease_token, self.responses, self.lapsed = (
                Status.LEASED,
                lease_token,
                row.responses,
                False,
            )

    @rule(lease_token=lease_tokens, late=st.integers(0, 1), even_resumed=st.booleans())
    def give_back(self, lease_token: str, late: int, *, even_resumed: bool) -> None:
        given = self.gives_back(lease_token, self.responses - late, even_resumed=even_resumed)
        assert lifecycle.give_back(self.id, lease_token, self.responses - late, even_resumed=even_resumed) == given
        self.back(given=given)

    def gives_back(self, lease_token: str, response: int, *, even_resumed: bool) -> bool:
        last = (self.lease_token, self.responses) == (lease_token, response)
        return self.status == Status.LEASED and last and (even_resumed or not self.resumed)

    def back(self, *, given: bool) -> None:
        if given:
            self.status, self.resumed, self.lapsed = Status.AVAILABLE, False, False

    @rule(lease_token=lease_tokens)
    def use_up(self, lease_token: str) -> None:
        used = self.status in MOVES[Status.GONE]
        assert lifecycle.use_up(self.id, lease_token, grace_seconds=60) == used
        self.gone(lease_token, used=used)

    def gone(self, lease_token: str, *, used: bool) -> None:
        if used:
            self.status, self.lease_token, self.lapsed = Status.GONE, lease_token, False

    @rule(
        lease_token=lease_tokens,
        start=st.integers(0, 3),
        length=st.integers(1, 4),
        late=st.integers(0, 1),
        complete=st.booleans(),
    )
    def answer_ends(self, lease_token: str, start: int, length: int, late: int, *, complete: bool) -> None:
        span = (start, min(start + length, SIZE))
        confirmations.handle(Sent(Ticket(self.id, lease_token, self.responses - late), span, complete=complete))
        if self.status is None:
            return
        if complete and self.has_all(lease_token, span):
            used = self.status in MOVES[Status.GONE]
            self.gone(lease_token, used=used)
            self.ranges = {} if used else self.ranges
        else:
            self.back(given=self.gives_back(lease_token, self.responses - late, even_resumed=not complete))

    def has_all(self, lease_token: str, span: tuple[int, int]) -> bool:
        if span == (0, SIZE):
            return True
        self.ranges = {lease_token: self.ranges.get(lease_token, set()) | {span}}
        return {at for start, stop in self.ranges[lease_token] for at in range(start, stop)} == set(range(SIZE))

    @rule()
    def time_passes(self) -> None:
        changed = statements.changed(
            update(File).where(File.id == self.id, File.due_at.is_not(None)).values(due_at=now() - PAST)
        )
        self.lapsed = bool(changed)

    @rule()
    def sweep(self) -> None:
        lapsed = self.status == Status.LEASED and self.lapsed
        assert lifecycle.give_back_lapsed() == lapsed
        self.back(given=lapsed)

    @rule()
    def owner_removes(self) -> None:
        entry = catalog.by_id(self.id)
        if entry is None or not self.keyed:
            return
        removed = self.status in MOVES[Status.GONE]
        assert lifecycle.remove(entry) == removed
        if removed:
            self.status, self.keyed, self.lapsed = Status.GONE, False, True
            self.lease_token = row.lease_token if (row := self.row()) else None  # the mark of this very removal

    @rule()
    def time_is_over(self) -> None:
        expired = self.status in MOVES[Status.GONE]
        if expired:
            statements.changed(update(File).where(File.id == self.id).values(expires_at=now() - PAST))
        assert lifecycle.expire(File.id == self.id) == expired
        if expired:
            self.status, self.lapsed = Status.GONE, True

    @rule(dies=st.booleans())
    def worker_purges(self, *, dies: bool) -> None:
        due = self.status == Status.GONE and self.lapsed and not self.purged
        assert lifecycle.claim_purges(10) == ([self.id] if due else [])
        assert lifecycle.claim_purges(10) == []
        if due and dies:
            self.lapsed = False
        elif due:
            lifecycle.purged([self.id])
            self.purged, self.lapsed = True, False
            self.status = self.status if self.keyed else None

    @rule()
    @precondition(lambda self: self.status != Status.GONE)
    def purged_by_mistake(self) -> None:
        lifecycle.purged([self.id])

    @invariant()
    def the_database_agrees(self) -> None:
        row = self.row()
        assert (row is None) == (self.status is None)
        if row is not None:
            assert (row.status, row.key is not None) == (self.status, self.keyed)
            assert (row.lease_token, row.responses, row.purged_at is not None) == (
                self.lease_token,
                self.responses,
                self.purged,
            )
            assert row.resumed == self.resumed
            assert (row.due_at is not None and row.due_at <= now()) == self.lapsed or self.status == Status.FETCHING

    def teardown(self) -> None:
        # What is left of this life is not due in the next one.
        statements.changed(update(File).where(File.id == self.id).values(due_at=None, place_due_at=None))


def test_no_life_leaves_the_rules(app: Flask) -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=40, stateful_step_count=30, deadline=None, phases=[Phase.explicit, Phase.generate]
        ),
    )
