"""How many fetches of one client and from one host run at once, who waits, and whose turn is next."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests.origin import Origin, Page
from vimeo_api.core import identifiers
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, QueuedFetch, Status
from vimeo_api.core.fetching import claims, job, turns
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import Entry, NewFile
from vimeo_api.extensions import in_app

MOST = 2


@pytest.fixture(autouse=True)
def limited(app: Flask) -> None:
    values = {"fetch_per_client": MOST, "fetch_per_origin": MOST, "fetch_allow_private": True}
    app.config["SETTINGS"] = app.config["SETTINGS"].model_copy(update=values)


def asked(key: str, *, client: str = "a", host: str = "h", url: str = "http://127.0.0.1:9/") -> int:
    """Add a fetch that a client has asked for, and return its id."""
    catalog.add(NewFile("transfer", key, blob=f"b{key}", name="n", size=0, source_url=url))
    turns.add(found(key).id, client=client, origin=host)
    return found(key).id


def found(key: str) -> Entry:
    entry = catalog.find("transfer", key)
    assert entry
    return entry


@pytest.mark.parametrize("same", ["client", "host"])
def test_it_limits_running_fetches_per_client_and_host(same: str) -> None:
    others = [{"client": "a", "host": f"h{n}"} if same == "client" else {"client": f"c{n}"} for n in range(4)]
    ids = [asked(str(n), **other) for n, other in enumerate(others)]
    stranger = asked("x", client="x", host="x")
    assert [bool(claims.claim(one, f"t{one}")) for one in ids] == [True, True, False, False]
    assert claims.claim(stranger, "t")


def test_a_waiting_fetch_holds_no_worker_and_has_a_due_time(origin: Origin) -> None:
    ids = [asked(str(n), url=origin.serve("/a", Page(b"x"))) for n in range(3)]
    for one in ids[:MOST]:
        claims.claim(one, "token")
    assert job.run(ids[2]) == []
    waiting = found("2")
    assert (waiting.status, waiting.lease_token, waiting.attempts) == (Status.FETCHING, None, 0)
    assert waiting.due_at
    assert waiting.due_at > now()
    assert origin.requests == []
    assert claims.revive(10) == []


def test_the_oldest_waiting_fetch_starts_when_one_ends(origin: Origin) -> None:
    url = origin.serve("/a", Page(b"x"))
    ids = [asked(str(n), url=url) for n in range(4)]
    stranger = asked("x", client="x", host="x", url=url)
    claims.claim(ids[0], "running")
    blocker = claims.claim(ids[1], "ended")
    assert [job.run(one) for one in ids[2:]] == [[], []]
    assert blocker
    claims.cancel(ids[1])
    assert job.run(stranger) == []  # of another client and host
    assert job.run(ids[2]) == [ids[3]]
    assert turns.following(ids[2]) == []  # it was said once
    assert found("2").status == Status.AVAILABLE


def test_a_fetch_whose_turn_is_taken_at_the_last_moment_waits_like_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [asked(str(n)) for n in range(3)]

    def begin_others() -> str:
        for one in ids[:MOST]:
            claims.claim(one, f"token of {one}")
        return "token"

    monkeypatch.setattr(identifiers, "random_hex", begin_others)
    catalog.put_off(File.id == ids[2], order=File.id, limit=1, values={"due_at": now() + turns.BEGIN})
    assert job.run(ids[2]) == []
    claims.cancel(ids[0])
    assert turns.following(ids[0]) == [ids[2]]


def test_the_sweep_takes_a_few_of_each_client() -> None:
    flood = [asked(f"f{n}", host=f"h{n}") for n in range(5)]
    stranger = asked("x", client="x", host="x")
    assert set(claims.revive(10)) == {*flood[:MOST], stranger}


def test_the_sweep_skips_fetches_that_must_wait() -> None:
    ids = [asked(str(n)) for n in range(3)]
    for one in ids[:MOST]:
        claims.claim(one, "token")
    assert claims.revive(10) == []
    waiting = found("2")
    assert waiting.due_at
    assert waiting.due_at > now()  # so that no alert says that no worker takes it


def test_claims_at_the_same_moment_are_counted(app: Flask) -> None:
    del app
    ids = [asked(str(n)) for n in range(8)]
    claim = in_app(claims.claim)
    with ThreadPoolExecutor(8) as workers:
        claimed = list(workers.map(lambda one: claim(one, "token"), ids))
    assert sum(entry is not None for entry in claimed) == MOST


def test_it_forgets_who_asked_once_a_fetch_is_over() -> None:
    over, going_on = asked("1"), asked("2")
    claims.cancel(over)
    turns.forget()
    assert [row.file_id for row in statements.rows(select(QueuedFetch.file_id))] == [going_on]
    claims.cancel(going_on)
    turns.forget()
    assert statements.row(select(func.count()).select_from(QueuedFetch)) == (0,)
