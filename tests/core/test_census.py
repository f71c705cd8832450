"""What there is and what waits."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from vimeo_api.core import catalog, census, database, fetching, lifecycle
from vimeo_api.core.catalog import NewFile, now
from vimeo_api.core.models import File

GRANT = "a" * 32


@pytest.fixture(autouse=True)
def _anew(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "_COST", 0)


def add(key: str, size: int = 10, **more: object) -> int:
    catalog.add(NewFile("vimeo", key, blob=key, name="n", size=size, **more))  # type: ignore[arg-type]
    entry = catalog.find("vimeo", key)
    assert entry
    return entry.id


def changed(file_id: int, **values: object) -> None:
    database.changed(update(File).where(File.id == file_id).values(values))


def ago(seconds: float) -> object:
    return now() - timedelta(seconds=seconds)


def waiting(work: str) -> float:
    return round(census.take().waiting[work], -1)


def test_it_counts_files_and_bytes_by_kind() -> None:
    add("a")
    lifecycle.lease(add("b"), GRANT, seconds=60)
    used = add("c", size=5)
    lifecycle.use_up(used, GRANT, grace_seconds=60)
    purged = add("d", size=7)
    lifecycle.use_up(purged, GRANT, grace_seconds=60)
    lifecycle.purged([purged])
    add("e", size=0, source_url="http://x/")
    cancelled = add("f", size=0, source_url="http://x/")
    fetching.cancel(cancelled)
    kinds = {(g.status, g.fetched, g.failure): (g.files, g.stored) for g in census.take().groups}
    assert kinds == {
        ("available", False, None): (1, 10),
        ("leased", False, None): (1, 10),
        ("gone", False, None): (2, 5),
        ("fetching", True, None): (1, 0),
        ("failed", True, "cancelled"): (1, 0),
    }


def test_nothing_waits_where_nothing_is_due() -> None:
    add("a")
    lifecycle.lease(add("b"), GRANT, seconds=60)
    lifecycle.use_up(add("c"), GRANT, grace_seconds=60)
    assert set(census.take().waiting.values()) == {0.0}


def test_a_purge_that_nobody_does_gets_older_though_each_attempt_puts_it_off() -> None:
    used = add("a")
    lifecycle.use_up(used, GRANT, grace_seconds=0)
    changed(used, due_at=ago(100))
    assert waiting("purge") == 100
    assert list(lifecycle.claim_purges(1)) == [used]
    changed(used, due_at=ago(10))
    assert waiting("purge") == 10 + 60
    lifecycle.purged([used])
    assert waiting("purge") == 0


def test_a_fetch_gets_older_until_a_worker_takes_it() -> None:
    fetched = add("a", source_url="http://x/")
    changed(fetched, created_at=ago(300))
    assert fetching.revive(10) == [fetched]
    assert waiting("fetch") == 300
    changed(fetched, grant=GRANT)
    assert waiting("fetch") == 0


def test_a_lease_and_a_landing_get_older_too() -> None:
    late, landed = add("a"), add("b", landed=True)
    lifecycle.lease(late, GRANT, seconds=60)
    changed(late, due_at=ago(200))
    changed(landed, created_at=ago(400))
    assert (waiting("lease"), waiting("place")) == (200, 400)


def test_a_count_is_kept_for_as_long_as_it_was_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "_COST", 10**9)
    first = census.take()
    add("a")
    assert census.take() is first
