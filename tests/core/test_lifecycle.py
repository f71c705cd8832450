"""Every move between the states: who wins, who is too late, what is due."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Executable, Update, update

from tests.core.leasing import lease
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.database.prepared import Prepared, Values
from vimeo_api.core.deliveries import confirmations
from vimeo_api.core.deliveries.lines import Sent, Ticket
from vimeo_api.core.files import catalog, leases, lifecycle
from vimeo_api.core.files.catalog import Entry, NewFile
from vimeo_api.core.policy import VIMEO
from vimeo_api.services import downloads

A, B = "a" * 32, "b" * 32


@pytest.fixture
def file(app: Flask) -> int:
    catalog.add(NewFile("vimeo", "k", blob="b", name="n", size=10))
    return entry().id


def entry() -> Entry:
    found = catalog.find("vimeo", "k")
    assert found is not None
    return found


def lapse(file_id: int) -> None:
    statements.execute(update(File).where(File.id == file_id).values(due_at=now() - timedelta(seconds=1)))


def test_one_lease_token_at_a_time_holds_the_lease(file: int) -> None:
    assert lease(file, A) == 1
    assert lease(file, B) is None
    assert lease(file, A) == 2
    assert (entry().status, entry().lease_token) == (Status.LEASED, A)


def test_the_sweep_ends_lapsed_leases_only(file: int) -> None:
    lease(file, A)
    assert leases.give_back_lapsed(None) == 0
    lapse(file)
    assert lease(file, B) is None
    assert leases.give_back_lapsed(None) == 1
    assert entry().status == Status.AVAILABLE
    assert lease(file, B) == 2


def test_a_lease_whose_report_may_be_lost_leaves_the_file_in_doubt(file: int) -> None:
    lease(file, A)
    lost_until = now()
    assert leases.doubt_lapsed(lost_until) == 0
    lapse(file)
    assert leases.give_back_lapsed(lost_until) == 0
    assert leases.doubt_lapsed(lost_until) == 1
    assert entry().status == Status.IN_DOUBT
    assert lease(file, A) is None
    assert leases.release(file)
    assert not leases.release(file)
    assert lease(file, B) == 2
    lapse(file)
    assert leases.doubt_lapsed(lost_until) == 0  # this lease was taken later
    assert leases.give_back_lapsed(lost_until) == 1


def test_lease_first_finds_and_leases_a_file_in_one_statement(file: int) -> None:
    leased = leases.lease_first("vimeo", "k", A, seconds=60)
    assert leased is not None
    assert (leased.id, leased.blob, leased.size, leased.responses) == (file, "b", 10, 1)
    assert (entry().status, entry().lease_token) == (Status.LEASED, A)
    assert leases.lease_first("vimeo", "k", B, seconds=60) is None


def test_a_repeated_lease_first_is_about_the_same_response(file: int) -> None:
    leases.lease_first("vimeo", "k", A, seconds=60)
    again = leases.lease_first("vimeo", "k", A, seconds=60)  # the result of the first one was lost
    assert again is not None
    confirmations.handle(Sent(Ticket(file, A, again.responses), (0, 4), complete=False))
    assert entry().status == Status.AVAILABLE


def test_a_repeated_lease_first_does_not_renew_a_lease_with_other_responses(file: int) -> None:
    leases.lease_first("vimeo", "k", A, seconds=60)
    assert lease(file, A) == 2
    assert leases.lease_first("vimeo", "k", A, seconds=60) is None


@pytest.mark.parametrize(
    "values",
    [
        {"password_hash": "x"},
        {"size": leases.FIRST_LEASE_BYTES + 1},
        {"responses": 1},  # a client may have had it, and not all of nginx's log is read
        {"expires_at": now()},
        {"status": Status.GONE},
        {"status": Status.FETCHING},
        {"key": None},
        {"surface": "streams"},
    ],
)
def test_lease_first_refuses_any_other_file(file: int, values: dict[str, object]) -> None:
    statements.execute(update(File).where(File.id == file).values(values))
    assert leases.lease_first("vimeo", "k", A, seconds=60) is None


def test_only_the_last_response_of_the_holder_gives_the_lease_back(file: int) -> None:
    lease(file, A)
    lease(file, A)
    assert not leases.give_back(file, A, 1, even_resumed=True)
    assert not leases.give_back(file, B, 2, even_resumed=True)
    assert not leases.give_back(file, A, 2, even_resumed=False)
    assert leases.give_back(file, A, 2, even_resumed=True)
    assert not leases.give_back(file, A, 2, even_resumed=True)


def test_a_file_whose_lease_was_taken_over_is_used_up_once(file: int) -> None:
    lease(file, A)
    lapse(file)
    lease(file, B)
    assert leases.use_up(file, A, grace_seconds=0)
    assert not leases.use_up(file, B, grace_seconds=0)
    assert (entry().status, entry().lease_token) == (Status.GONE, A)
    assert lease(file, B) is None
    assert not leases.give_back(file, A, 1, even_resumed=True)


def test_several_files_are_used_up_though_one_lease_was_taken_over(file: int) -> None:
    catalog.add(NewFile("vimeo", "l", blob="c", name="n", size=10))
    other = catalog.find("vimeo", "l")
    assert other is not None
    lease(other.id, A)
    lease(file, A)
    lapse(file)
    lease(file, B)
    assert sorted(leases.use_up_all({file: A, other.id: A}, grace_seconds=60)) == [file, other.id]
    assert (entry().status, entry().lease_token) == (Status.GONE, A)
    assert leases.use_up_all({file: A, other.id: A}, grace_seconds=60) == []


def test_due_purges_are_returned_once_until_the_next_try(file: int) -> None:
    lease(file, A)
    leases.use_up(file, A, grace_seconds=60)
    assert lifecycle.due_purges(10) == []
    lapse(file)
    assert lifecycle.due_purges(10) == [file]
    assert lifecycle.due_purges(10) == []
    lapse(file)
    assert lifecycle.due_purges(10) == [file]
    lifecycle.purged([entry()])
    assert entry().purged_at is not None
    assert entry().due_at is None


def test_a_repeated_statement_does_not_lease_a_used_up_file_again(file: int) -> None:
    assert leases.lease_first("vimeo", "k", A, seconds=60)
    assert leases.use_up(file, A, grace_seconds=60)
    assert leases.lease_first("vimeo", "k", A, seconds=60) is None
    assert entry().status == Status.GONE


def lose_the_answer(monkeypatch: pytest.MonkeyPatch, kind: type[Executable]) -> None:
    """Execute the next statement of a kind but lose its answer, so that it is repeated."""
    execute = statements._execute  # noqa: SLF001 -- where a lost connection shows

    def do_twice(statement: Executable, *words: Any) -> Any:
        if isinstance(statement, kind):
            monkeypatch.setattr(statements, "_execute", execute)
            execute(statement, *words)
        return execute(statement, *words)

    monkeypatch.setattr(statements, "_execute", do_twice)


@pytest.mark.parametrize("downloads_allowed", [1, 2])
def test_a_repeated_lease_is_about_the_same_response(
    app: Flask, monkeypatch: pytest.MonkeyPatch, downloads_allowed: int
) -> None:
    catalog.add(
        NewFile("vimeo", "k", blob="b", name="n", size=leases.FIRST_LEASE_BYTES + 1, downloads=downloads_allowed)
    )
    with monkeypatch.context() as losing:
        if downloads_allowed == 1:
            do_twice(losing, leases._LEASE)  # noqa: SLF001 -- where a lost connection shows
        else:
            lose_the_answer(losing, Update)
        leased, ticket = downloads.open_download(VIMEO, "k")
    assert ticket
    assert ticket.response == leased.responses == 1
    confirmations.handle(Sent(ticket, (0, 4), complete=False))
    assert entry().status == Status.AVAILABLE


def do_twice(monkeypatch: pytest.MonkeyPatch, statement: Prepared) -> None:
    """Execute a prepared statement but lose its answer, so that it is repeated."""
    row = statement.row

    def twice(values: Values) -> tuple[Any, ...] | None:
        monkeypatch.undo()
        row(values)
        return row(values)

    monkeypatch.setattr(statement, "row", twice)


@pytest.mark.parametrize("receipt", [None, A])
def test_a_removal_succeeds_although_its_result_was_lost(
    file: int, monkeypatch: pytest.MonkeyPatch, receipt: str | None
) -> None:
    lease(file, A)
    found = entry()
    do_twice(monkeypatch, lifecycle._REMOVE if receipt is None else lifecycle._CONFIRM)  # noqa: SLF001 -- as above
    removed = lifecycle.remove(found) if receipt is None else lifecycle.confirm(found, receipt)
    assert removed
    assert removed.status == Status.GONE
    assert not lifecycle.remove(found)
    assert not lifecycle.confirm(found, B)
