"""Random lives of files, made by hypothesis, on a real database and beside a model that knows the rules."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import ClassVar

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

from tests.core.leasing import lease
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import Failure, File, Status
from vimeo_api.core.deliveries import confirmations
from vimeo_api.core.deliveries.lines import Sent, Ticket
from vimeo_api.core.fetching import claims
from vimeo_api.core.files import catalog, leases, lifecycle, queues
from vimeo_api.core.files.catalog import NewFile
from vimeo_api.core.files.lifecycle import Move

SIZE = 4
PAST = timedelta(seconds=1)
ANOTHER = "d" * 32
lease_tokens = st.sampled_from(["a" * 32, "b" * 32, "c" * 32])
keys = (f"life-{number}" for number in itertools.count())


may_end = precondition(lambda self: self.steps >= self.ends_after)  # else most lives would be short


class Life(RuleBasedStateMachine):
    """One file; what the database says after each move is what the model says."""

    made: ClassVar[set[tuple[Move, Status]]] = set()  # rows of the table of moves, in all lives

    @initialize(fetched=st.booleans(), ends_after=st.integers(0, 20))
    def upload(self, fetched: bool, ends_after: int) -> None:  # noqa: FBT001
        self.steps, self.ends_after = 0, ends_after
        self.key = next(keys)
        url = "http://a.example/" if fetched else None
        catalog.add(NewFile("vimeo", self.key, blob=self.key, name="n", size=SIZE, source_url=url, queue=self.key))
        found = catalog.find("vimeo", self.key)
        assert found
        self.id = found.id
        self.status: Status | None = Status.FETCHING if fetched else Status.AVAILABLE  # None: the row is no more
        self.keyed = True
        self.lease_token: str | None = None
        self.responses = 0
        self.lapsed = fetched  # what is due by the row is due now
        self.called = False  # a worker, a moment ago
        self.resumed = self.purged = False
        self.open: set[int] = set()  # responses that have not ended yet
        self.since = 1  # the first response under the lease of now
        self.at_first = True  # nothing is written about what was sent
        self.sent: set[int] = set()  # bytes

    def may(self, move: Move) -> bool:
        return self.status in move.starts

    def make(self, move: Move, lease_token: str | None, *, lapsed: bool = False) -> None:
        assert self.status is not None
        self.made.add((move, self.status))
        self.status, self.lease_token, self.lapsed, self.called = move.end, lease_token, lapsed, False

    def row(self) -> "statements.AnyRow | None":
        columns = (
            File.status,
            File.key,
            File.lease_token,
            File.responses,
            File.resumed,
            File.purged_at,
            File.due_at,
            File.leased_at,
        )
        return statements.row(select(*columns).where(File.id == self.id))

    @rule(token=lease_tokens, dead=st.none() | lease_tokens)
    def worker_claims(self, token: str, dead: str | None) -> None:
        free = self.may(Move.WORK) and (self.lease_token in {None, dead} or self.lapsed)
        assert (claims.claim(self.id, token, dead=dead) is not None) == free
        if free:
            self.make(Move.WORK, token)

    def held(self, token: str) -> bool:
        return self.may(Move.WORK) and self.lease_token == token

    @rule(ours=st.booleans())
    def worker_renews(self, *, ours: bool) -> None:
        token = self.lease_token if ours and self.lease_token else ANOTHER
        assert claims.renew(self.id, token) == self.held(token)
        assert claims.record(self.id, token, received=1, total=None, advanced=True) == self.held(token)
        if self.held(token):
            self.make(Move.WORK, token)

    @rule(token=st.none() | lease_tokens)
    def worker_is_found_dead(self, token: str | None) -> None:
        claims.release("vimeo", self.key, token)
        if token is not None and self.held(token):
            self.make(Move.WORK, token, lapsed=True)

    @rule()
    def worker_finds_the_file_locked(self) -> None:
        unclaimed = self.may(Move.WORK) and (self.lapsed or (self.lease_token is None and self.called))
        assert (claims.reschedule(self.id) is not None) == unclaimed
        if unclaimed:
            self.make(Move.WORK, None)

    @rule()
    def sweep_calls_workers(self) -> None:
        due = self.may(Move.WORK) and self.lapsed
        assert claims.revive(10) == ([self.id] if due else [])
        if due:
            self.make(Move.WORK, None)
            self.called = True

    @rule()
    def worker_starts(self) -> None:
        claims.revive_all()
        if self.may(Move.WORK) and self.lease_token is None:
            self.make(Move.WORK, None, lapsed=True)

    @rule(ours=st.booleans())
    def worker_finishes(self, *, ours: bool) -> None:
        token = self.lease_token if ours and self.lease_token else ANOTHER
        finished = self.held(token)
        done = claims.finish(self.id, token, name="n", size=SIZE, modified=0, pending=False)
        assert done == (finished or self.status == Status.AVAILABLE)  # else it may have been us, without our knowing
        if finished:
            self.make(Move.FINISH, None)

    @rule(ours=st.booleans())
    @may_end
    def worker_fails(self, *, ours: bool) -> None:
        token = self.lease_token if ours and self.lease_token else ANOTHER
        claims.fail(self.id, token, Failure.ORIGIN, "Away.")
        if self.held(token):
            self.make(Move.FAIL, None)

    @rule()
    @may_end
    def owner_cancels(self) -> None:
        assert claims.cancel(self.id) == self.may(Move.FAIL)
        if self.may(Move.FAIL):
            self.make(Move.FAIL, None)

    @rule(lease_token=lease_tokens)
    def lease(self, lease_token: str) -> None:
        free = self.status == Status.AVAILABLE or self.lease_token == lease_token
        leased = lease(self.id, lease_token)
        assert leased == (self.responses + 1 if self.may(Move.LEASE) and free else None)
        if leased:
            self.resumed = self.lease_token == lease_token
            self.make(Move.LEASE, lease_token)
            self.responses += 1
            self.open.add(self.responses)
            self.since = self.since if self.resumed else self.responses
            self.at_first = False

    @rule(lease_token=lease_tokens)
    def lease_at_once(self, lease_token: str) -> None:
        """The shortcut for a first download."""
        free = self.status == Status.AVAILABLE and not self.responses
        held = self.status == Status.LEASED and self.lease_token == lease_token
        again = held and self.responses == 1 and self.at_first  # the statement is repeated
        leased = leases.lease_first("vimeo", self.key, lease_token, seconds=60)
        assert (leased is not None) == ((free or again) and self.keyed)
        if leased is not None:
            self.make(Move.LEASE, lease_token)
            self.responses = 1
            self.open.add(1)
            assert leased.responses == 1

    @rule()
    def lease_from_queue(self) -> None:
        leased = queues.lease_first("vimeo", self.key, seconds=60)
        assert (leased is not None) == (self.may(Move.LEASE) and (self.status == Status.AVAILABLE or self.lapsed))
        if leased is not None:
            self.make(Move.LEASE, leased[1])

    @rule(ours=st.booleans(), late=st.integers(0, 1), even_resumed=st.booleans())
    def give_back(self, late: int, *, ours: bool, even_resumed: bool) -> None:
        lease_token = self.lease_token if ours and self.lease_token else ANOTHER
        given = self.gives_back(lease_token, self.responses - late, even_resumed=even_resumed)
        assert leases.give_back(self.id, lease_token, self.responses - late, even_resumed=even_resumed) == given
        self.back(given=given)

    def gives_back(self, lease_token: str, response: int, *, even_resumed: bool) -> bool:
        last = (self.lease_token, self.responses) == (lease_token, response)
        return self.may(Move.GIVE_BACK) and last and (even_resumed or not self.resumed)

    def back(self, *, given: bool) -> None:
        if given:
            self.make(Move.GIVE_BACK, self.lease_token)
            self.resumed = False

    @rule(lease_token=lease_tokens)
    @may_end
    def use_up(self, lease_token: str) -> None:
        assert leases.use_up(self.id, lease_token, grace_seconds=60) == self.may(Move.USE_UP)
        if self.may(Move.USE_UP):
            self.make(Move.USE_UP, lease_token)

    @rule(
        lease_token=lease_tokens,
        start=st.integers(0, 3),
        length=st.integers(1, 4),
        late=st.integers(0, 1),
        complete=st.booleans(),
    )
    def response_ends(self, lease_token: str, start: int, length: int, late: int, *, complete: bool) -> None:
        span = (start, min(start + length, SIZE))
        confirmations.handle(Sent(Ticket(self.id, lease_token, self.responses - late), span, complete=complete))
        if self.status is None:
            return
        whole = complete and span == (0, SIZE)
        number = self.responses - late
        runs = number in self.open  # a report that comes again, or under another token, changes nothing
        if runs and not (whole and self.status != Status.GONE):
            self.open.remove(number)
            self.sent |= {*range(*span)}
            self.at_first = False
        if self.status == Status.GONE:
            return
        if whole or (complete and len(self.sent) == SIZE):
            if self.may(Move.USE_UP):
                self.make(Move.USE_UP, lease_token)
        else:
            others = any(number >= self.since for number in self.open)
            given = runs and not others and self.gives_back(lease_token, self.responses, even_resumed=not complete)
            self.back(given=given)

    @rule()
    def time_passes(self) -> None:
        self.lapsed = bool(
            statements.execute(
                update(File).where(File.id == self.id, File.due_at.is_not(None)).values(due_at=now() - PAST)
            )
        )

    @rule()
    def sweep(self) -> None:
        lapsed = self.may(Move.GIVE_BACK) and self.lapsed
        assert leases.give_back_lapsed(None) == lapsed
        self.back(given=lapsed)

    @rule()
    def sweep_doubts(self) -> None:
        """The sweep after a power cut, which may have taken reports away."""
        row = self.row()
        assert row is not None or self.status is None
        lapsed = self.may(Move.DOUBT) and self.lapsed
        downloaded = lapsed and row is not None and row.leased_at is not None  # the lease of a queue needs no report
        assert leases.doubt_lapsed(now()) == downloaded
        if downloaded:
            self.make(Move.DOUBT, self.lease_token)
            self.resumed = False

    @rule()
    def owner_releases(self) -> None:
        assert leases.release(self.id) == self.may(Move.RELEASE)
        if self.may(Move.RELEASE):
            self.make(Move.RELEASE, self.lease_token)

    @rule(receipt=st.sampled_from(["none", "right", "wrong"]))
    @may_end
    def owner_removes(self, receipt: str) -> None:
        entry = catalog.by_id(self.id)
        if entry is None or not self.keyed:
            return
        shown = {"none": None, "right": self.lease_token, "wrong": "z" * 32}[receipt]
        removed = self.may(Move.REMOVE) and receipt != "wrong"
        found = lifecycle.remove(entry) if shown is None else lifecycle.confirm(entry, shown)
        assert (found is not None) == removed
        if removed:
            row = self.row()
            assert row is not None
            assert shown in {None, row.lease_token}  # without one, the mark of this very removal
            self.make(Move.REMOVE, row.lease_token, lapsed=True)
            self.keyed = shown is None  # the link of a one-time file says 410 for ever

    @rule()
    @may_end
    def time_is_over(self) -> None:
        expired = self.may(Move.REMOVE)
        if expired:
            statements.execute(update(File).where(File.id == self.id).values(expires_at=now() - PAST))
        assert lifecycle.expire(File.id == self.id) == expired
        if expired:
            self.make(Move.REMOVE, self.lease_token, lapsed=True)

    def purge(self) -> None:
        entry = catalog.by_id(self.id)
        lifecycle.purged([] if entry is None else [entry])

    @rule(dies=st.booleans())
    def worker_purges(self, *, dies: bool) -> None:
        due = self.status == Status.GONE and self.lapsed and not self.purged
        assert lifecycle.due_purges(10) == ([self.id] if due else [])
        assert lifecycle.due_purges(10) == []
        if due and dies:
            self.lapsed = False
        elif due:
            self.purge()
            self.purged, self.lapsed = True, False
            self.status = self.status if self.keyed else None

    @rule()
    @precondition(lambda self: self.status != Status.GONE)
    def purged_by_mistake(self) -> None:
        self.purge()

    @invariant()
    def the_database_agrees(self) -> None:
        self.steps += 1
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
            assert (row.due_at is not None and row.due_at <= now()) == self.lapsed

    def teardown(self) -> None:
        # Work that this life leaves is not due in the next one.
        statements.execute(update(File).where(File.id == self.id).values(status=Status.GONE, due_at=None))


def test_no_random_lifecycle_breaks_the_rules(app: Flask) -> None:
    lives = settings(max_examples=80, stateful_step_count=30, deadline=None, phases=[Phase.explicit, Phase.generate])
    run_state_machine_as_test(Life, settings=lives)


A, B = "a" * 32, "b" * 32
# What hypothesis does not think of each time: together these make every move of the table.
KNOWN: list[list[Callable[[Life], None]]] = [
    [
        lambda life: life.upload(fetched=True, ends_after=0),
        lambda life: life.worker_claims(A, None),
        lambda life: life.worker_finishes(ours=True),
        lambda life: life.lease(A),
        lambda life: life.lease(A),
        lambda life: life.give_back(0, ours=True, even_resumed=True),
        lambda life: life.use_up(B),
    ],
    [
        lambda life: life.upload(fetched=True, ends_after=0),
        lambda life: life.owner_cancels(),
        lambda life: life.owner_removes("none"),
        lambda life: life.worker_purges(dies=False),
    ],
    [
        lambda life: life.upload(fetched=False, ends_after=0),
        lambda life: life.lease_at_once(A),
        lambda life: life.use_up(A),
    ],
    [
        lambda life: life.upload(fetched=False, ends_after=0),
        lambda life: life.lease_from_queue(),
        lambda life: life.owner_removes("right"),
    ],
    [lambda life: life.upload(fetched=False, ends_after=0), lambda life: life.time_is_over()],
    *(
        [
            lambda life: life.upload(fetched=False, ends_after=0),
            lambda life: life.lease(A),
            lambda life: life.time_passes(),
            lambda life: life.sweep_doubts(),
            end,
        ]
        for end in (
            lambda life: life.owner_releases(),
            lambda life: life.owner_removes("none"),
            lambda life: life.use_up(A),
        )
    ),
]


def test_random_lifecycles_make_every_move_of_the_table(app: Flask) -> None:
    Life.made.clear()
    for steps in KNOWN:
        life = Life()
        for step in steps:
            step(life)
            life.the_database_agrees()
        life.teardown()
    assert Life.made == {(move, start) for move in Move for start in move.starts}
