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
grants = st.sampled_from(["a" * 32, "b" * 32, "c" * 32])
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
        self.grant: str | None = None
        self.answers = 0
        self.resumed = self.lapsed = self.purged = False
        self.ranges: dict[str, set[tuple[int, int]]] = {}

    def row(self) -> "statements.AnyRow | None":
        columns = (File.status, File.key, File.grant, File.answers, File.resumed, File.purged_at, File.due_at)
        return statements.row(select(*columns).where(File.id == self.id))

    @rule(to=st.sampled_from([Status.FETCHING, Status.FAILED, Status.AVAILABLE]))
    @precondition(lambda self: self.status != Status.LEASED)
    def fetch_goes_on(self, to: Status) -> None:
        allowed = self.status in MOVES[to]
        assert (lifecycle.advance(self.id, to, due_at=None) is not None) == allowed
        if allowed:
            self.status, self.lapsed = to, False

    @rule(grant=grants)
    def lease(self, grant: str) -> None:
        free = self.status == Status.AVAILABLE or (
            self.status == Status.LEASED and (self.lapsed or self.grant == grant)
        )
        answer = lifecycle.lease(self.id, grant, seconds=60)
        assert answer == (self.answers + 1 if free else None)
        if answer:
            self.resumed = self.grant == grant
            self.status, self.grant, self.answers, self.lapsed = Status.LEASED, grant, answer, False

    @rule(grant=grants)
    def lease_at_once(self, grant: str) -> None:
        """The short way of a first download."""
        free = self.status == Status.AVAILABLE and not self.answers
        again = self.status == Status.LEASED and self.grant == grant  # a statement may be repeated
        row = lifecycle.lease_first("vimeo", self.key, grant, seconds=60)
        assert (row is not None) == ((free or again) and self.keyed)
        if row is not None:
            assert row.answers == self.answers + 1
            self.status, self.grant, self.answers, self.lapsed = Status.LEASED, grant, row.answers, False

    @rule(grant=grants, late=st.integers(0, 1), even_resumed=st.booleans())
    def give_back(self, grant: str, late: int, *, even_resumed: bool) -> None:
        given = self.gives_back(grant, self.answers - late, even_resumed=even_resumed)
        assert lifecycle.give_back(self.id, grant, self.answers - late, even_resumed=even_resumed) == given
        self.back(given=given)

    def gives_back(self, grant: str, answer: int, *, even_resumed: bool) -> bool:
        last = (self.grant, self.answers) == (grant, answer)
        return self.status == Status.LEASED and last and (even_resumed or not self.resumed)

    def back(self, *, given: bool) -> None:
        if given:
            self.status, self.resumed, self.lapsed = Status.AVAILABLE, False, False

    @rule(grant=grants)
    def use_up(self, grant: str) -> None:
        used = self.status in MOVES[Status.GONE]
        assert lifecycle.use_up(self.id, grant, grace_seconds=60) == used
        self.gone(grant, used=used)

    def gone(self, grant: str, *, used: bool) -> None:
        if used:
            self.status, self.grant, self.lapsed = Status.GONE, grant, False

    @rule(
        grant=grants, start=st.integers(0, 3), length=st.integers(1, 4), late=st.integers(0, 1), complete=st.booleans()
    )
    def answer_ends(self, grant: str, start: int, length: int, late: int, *, complete: bool) -> None:
        span = (start, min(start + length, SIZE))
        confirmations.handle(Sent(Ticket(self.id, grant, self.answers - late), span, complete=complete))
        if self.status is None:
            return
        if complete and self.has_all(grant, span):
            used = self.status in MOVES[Status.GONE]
            self.gone(grant, used=used)
            self.ranges = {} if used else self.ranges
        else:
            self.back(given=self.gives_back(grant, self.answers - late, even_resumed=not complete))

    def has_all(self, grant: str, span: tuple[int, int]) -> bool:
        if span == (0, SIZE):
            return True
        self.ranges = {grant: self.ranges.get(grant, set()) | {span}}
        return {at for start, stop in self.ranges[grant] for at in range(start, stop)} == set(range(SIZE))

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
            self.grant = row.grant if (row := self.row()) else None  # the mark of this very removal

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
            assert (row.grant, row.answers, row.purged_at is not None) == (self.grant, self.answers, self.purged)
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
