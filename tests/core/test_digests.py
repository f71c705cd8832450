"""Digests made after the upload: every file that needs one gets it, and no other row changes."""

import fcntl
import hashlib
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import text, update

from tests.core.leasing import lease
from vimeo_api import tasks
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.files import catalog, digests, leases, lifecycle
from vimeo_api.core.files.catalog import Entry, NewFile
from vimeo_api.core.maintenance import sweep
from vimeo_api.core.monitoring import file_stats
from vimeo_api.core.storage.blobs import Blobs
from vimeo_api.extensions import blobs, settings

PATIENTLY = 60  # seconds


def put(key: str, content: bytes = b"content", *, digest: str | None = None, surface: str = "streams") -> Entry:
    blob = key.rjust(4, "0")
    with blobs.stage() as staging:
        staging.write(content)
        blobs.publish(staging, surface, blob)
    catalog.add(NewFile(surface, key, blob=blob, name=key, size=len(content), digest=digest))
    return entry(key, surface)


def entry(key: str, surface: str = "streams") -> Entry:
    found = catalog.find(surface, key)
    assert found is not None
    return found


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_it_digests_every_file_without_a_digest(app: Flask) -> None:
    contents = {"a": b"content", "empty": b"", "large": bytes(3 * 1024**2 + 1)}
    for key, content in contents.items():
        put(key, content)
    put("known", digest="md5:d41d8cd98f00b204e9800998ecf8427e")
    assert digests.due()
    assert digests.record(seconds=PATIENTLY) == 3
    assert {key: entry(key).digest for key in contents} == {key: digest_of(of) for key, of in contents.items()}
    assert entry("known").digest == "md5:d41d8cd98f00b204e9800998ecf8427e"
    assert not digests.due()
    assert digests.record(seconds=PATIENTLY) == 0


def test_it_works_in_batches_and_stops_when_its_time_is_up(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "DIGEST_BATCH", 2)
    for number in range(5):
        put(str(number), str(number).encode())
    assert digests.record(seconds=0) == 0
    monkeypatch.setattr(digests, "BATCH_SECONDS", 0)
    assert digests.record(seconds=PATIENTLY) == 5
    assert [entry(str(number)).digest for number in range(5)] == [digest_of(str(n).encode()) for n in range(5)]


def test_a_file_that_is_gone_or_still_fetched_is_not_digested(app: Flask) -> None:
    leased, removed = put("leased"), put("removed")
    lease(leased.id, "a" * 32)
    lifecycle.remove(removed)
    catalog.add(NewFile("transfer", "1", blob="beef", name="f", size=0, source_url="http://example.org/"))
    assert not digests.due()
    assert digests.record(seconds=PATIENTLY) == 0
    leases.give_back(leased.id, "a" * 32, 1, even_resumed=True)
    assert digests.record(seconds=PATIENTLY) == 1
    assert entry("leased").digest == digest_of(b"content")


@pytest.mark.parametrize("where", [(Blobs, "opened"), (hashlib, "file_digest")], ids=["before", "while read"])
def test_a_file_removed_meanwhile_is_not_an_error(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: tuple[object, str]
) -> None:
    first = put("first")
    put("other")
    reached = getattr(*where)

    def removed_then(*arguments: object) -> object:
        monkeypatch.undo()
        lifecycle.remove(first)
        sweep.purge([first.id])
        return reached(*arguments)

    monkeypatch.setattr(*where, removed_then)
    assert digests.record(seconds=PATIENTLY) == 1
    assert catalog.find("streams", "first") is None
    assert entry("other").digest == digest_of(b"content")
    assert "no digest" not in caplog.text


def test_a_digest_recorded_meanwhile_is_kept(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put("a")
    reached = hashlib.file_digest

    def recorded_then(*arguments: object) -> object:
        statements.execute(update(File).where(File.id == file.id).values(digest="sha512:aa"))
        return reached(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "file_digest", recorded_then)
    assert digests.record(seconds=PATIENTLY) == 0
    assert entry("a").digest == "sha512:aa"


def test_missing_bytes_do_not_delay_other_digests(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    lost = put("lost")
    put("other")
    path = blobs.path(lost.surface, lost.blob)
    path.rename(path.with_name("away"))
    assert digests.record(seconds=PATIENTLY) == 1
    assert entry("other").digest == digest_of(b"content")
    assert f"no digest for file {lost.id}" in caplog.text
    assert (entry("lost").status, entry("lost").digest) == (Status.AVAILABLE, None)
    assert not digests.due()  # but later
    path.with_name("away").rename(path)
    statements.execute(update(File).where(File.id == lost.id).values(due_at=now() - timedelta(seconds=1)))
    assert digests.record(seconds=PATIENTLY) == 1
    assert entry("lost").digest == digest_of(b"content")


def test_only_one_worker_digests_at_a_time(app: Flask) -> None:
    put("a")
    assert digests.due()  # which makes the lock's file
    with (settings.data_dir / "locks/digests").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not digests.due()
        assert digests.record(seconds=PATIENTLY) == 0
    assert digests.record(seconds=PATIENTLY) == 1


def test_the_sweep_enqueues_a_digest_task_only_if_a_digest_is_missing(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    file_stats.count()  # the sweep would enqueue this, too
    monkeypatch.setattr(tasks, "enqueue", lambda task, *_: called.append(task.name))
    tasks.sweep()
    assert called == []
    put("a")
    tasks.sweep()
    assert called == ["vimeo_api.tasks.digest"]
    tasks.digest()
    tasks.sweep()
    assert called == ["vimeo_api.tasks.digest"]
    assert entry("a").digest == digest_of(b"content")


def test_it_can_be_turned_off(app: Flask) -> None:
    put("a")
    app.config["SETTINGS"] = settings.model_copy(update={"digests": False})
    assert not digests.due()


def test_files_without_a_digest_are_found_by_an_index(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[str] = []
    rows = statements.rows

    def explained(statement: object) -> object:
        compiled = statement.compile(compile_kwargs={"literal_binds": True})  # type: ignore[attr-defined]
        plans.extend(row.detail for row in rows(text(f"EXPLAIN QUERY PLAN {compiled}")))
        return []

    monkeypatch.setattr(statements, "rows", explained)
    digests.due()
    assert len(plans) == 1
    assert "USING INDEX ix_files_undigested" in plans[0]
