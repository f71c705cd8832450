"""The counts of files, and the age of waiting work."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import Select, select, text, update

from tests.core.leasing import lease
from vimeo_api.core.access import api_tokens
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, LastFileStats
from vimeo_api.core.fetching import claims
from vimeo_api.core.files import catalog, leases, lifecycle
from vimeo_api.core.files.catalog import NewFile
from vimeo_api.core.maintenance import sweep
from vimeo_api.core.monitoring import file_stats
from vimeo_api.core.monitoring.file_stats import TokenUse
from vimeo_api.extensions import db

LEASE_TOKEN = "a" * 32


@pytest.fixture(autouse=True)
def _anew(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_stats, "_MIN_PAUSE", timedelta())
    monkeypatch.setattr(file_stats, "_PAUSE_FACTOR", 0)
    monkeypatch.setattr(statements, "PIECE", 2)


def add(key: str, size: int = 10, **more: object) -> int:
    catalog.add(NewFile("vimeo", key, blob=key, name="n", size=size, **more))  # type: ignore[arg-type]
    entry = catalog.find("vimeo", key)
    assert entry
    return entry.id


def changed(file_id: int, **values: object) -> None:
    statements.execute(update(File).where(File.id == file_id).values(values))


def ago(seconds: float) -> object:
    return now() - timedelta(seconds=seconds)


def waiting(work: str) -> float:
    return round(file_stats.read().waiting[work], -1)


def test_it_counts_what_each_token_has_stored() -> None:
    api_tokens.create("robot", ["*:*"], quota=10**6)
    api_tokens.create("idle", ["*:*"])
    api_tokens.create("over", ["*:*"])
    api_tokens.revoke("over")
    robot = api_tokens.named("robot").id
    add("a", size=5000, token_id=robot)
    add("b", size=1, token_id=robot)
    add("c")
    file_stats.count()
    assert list(file_stats.read().tokens) == [
        TokenUse("robot", 10**6, files=2, charged=5000 + 4096),
        TokenUse("idle", None, files=0, charged=0),
    ]


def test_a_count_of_an_older_release_is_read() -> None:
    add("a")
    file_stats.count()
    row = statements.row(select(LastFileStats.groups))
    assert row
    statements.execute(update(LastFileStats).values(groups=[group[:7] for group in row.groups]))
    assert [group.files for group in file_stats.read().groups] == [1]


def test_it_counts_files_and_bytes_by_kind() -> None:
    add("a")
    lease(add("b"), LEASE_TOKEN)
    used = add("c", size=5)
    leases.use_up(used, LEASE_TOKEN, grace_seconds=60)
    purged = add("d", size=7)
    leases.use_up(purged, LEASE_TOKEN, grace_seconds=60)
    sweep.purge([purged])
    add("e", size=0, source_url="http://x/")
    cancelled = add("f", size=0, source_url="http://x/")
    claims.cancel(cancelled)
    assert file_stats.read().groups == []
    assert file_stats.count()
    kinds = {(g.status, g.fetched, g.failure): (g.files, g.stored) for g in file_stats.read().groups}
    assert kinds == {
        ("available", False, None): (1, 10),
        ("leased", False, None): (1, 10),
        ("gone", False, None): (2, 5),
        ("fetching", True, None): (1, 0),
        ("failed", True, "cancelled"): (1, 0),
    }


def test_without_due_work_every_age_is_zero() -> None:
    add("a")
    lease(add("b"), LEASE_TOKEN)
    leases.use_up(add("c"), LEASE_TOKEN, grace_seconds=60)
    assert set(file_stats.read().waiting.values()) == {0.0}


def test_the_age_of_a_purge_grows_although_each_attempt_postpones_it() -> None:
    used = add("a")
    leases.use_up(used, LEASE_TOKEN, grace_seconds=0)
    changed(used, due_at=ago(100))
    assert waiting("purge") == 100
    assert list(lifecycle.due_purges(1)) == [used]
    changed(used, due_at=ago(10))
    assert waiting("purge") == 10 + 60
    sweep.purge([used])
    assert waiting("purge") == 0


def test_a_fetch_gets_older_until_a_worker_takes_it() -> None:
    fetched = add("a", source_url="http://x/")
    changed(fetched, created_at=ago(300))
    assert claims.revive(10) == [fetched]
    assert waiting("fetch") == 300
    changed(fetched, lease_token=LEASE_TOKEN)
    assert waiting("fetch") == 0


def test_the_age_of_leases_and_pending_files_grows() -> None:
    late, pending = add("a"), add("b", pending=True)
    lease(late, LEASE_TOKEN)
    changed(late, due_at=ago(200))
    changed(pending, created_at=ago(400))
    assert (waiting("lease"), waiting("place")) == (200, 400)


def test_leases_are_counted_by_surface() -> None:
    add("a")
    lease(add("b"), LEASE_TOKEN)
    lease(add("c"), LEASE_TOKEN)
    told = file_stats.read().leases
    assert (told.pop("vimeo"), set(told.values())) == (2, {0})


def test_the_next_count_waits_longer_after_an_expensive_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_stats, "_PAUSE_FACTOR", 10**9)
    assert file_stats.count()
    add("a")
    assert not file_stats.count()
    assert file_stats.read().groups == []
    statements.execute(update(LastFileStats).values(due_at=ago(1)))
    assert file_stats.count()
    assert [group.files for group in file_stats.read().groups] == [1]


def test_a_running_count_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    others = []

    def counting() -> list[object]:
        others.append(file_stats.count())
        return []

    monkeypatch.setattr(file_stats, "_groups", counting)
    assert file_stats.count()
    assert file_stats.count()
    assert others == [False, False]


def test_no_query_scans_a_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[str] = []
    rows = statements.rows

    def explained(statement: Select[tuple[object, ...]]) -> Sequence[statements.AnyRow]:
        compiled = statement.compile(db.engine, compile_kwargs={"literal_binds": True})
        plans.extend(row.detail for row in rows(text(f"EXPLAIN QUERY PLAN {compiled}")))
        return rows(statement)

    monkeypatch.setattr(statements, "rows", explained)
    monkeypatch.setattr(statements, "row", lambda statement: next(iter(explained(statement)), None))
    file_stats.read()
    assert len(plans) >= 6
    assert [plan for plan in plans if "files" in plan and "USING INDEX ix_files_" not in plan] == []
    assert [plan for plan in plans if plan.startswith("SCAN files")] == []
