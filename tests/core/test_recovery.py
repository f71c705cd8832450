"""Workers that die during a fetch: claims are free at once, attempts are counted, leftovers are removed."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any, Never

import pytest
from flask import Flask
from sqlalchemy import update

from tests.origin import Origin, Page, noise
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.fetching import claims, job, partial_file, recovery
from vimeo_api.core.fetching.job import MAX_ATTEMPTS
from vimeo_api.core.fetching.partial_file import PartialFile
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import Entry, NewFile
from vimeo_api.core.storage.blobs import Blobs, Staging
from vimeo_api.extensions import blobs, reservations, settings

pytestmark = pytest.mark.usefixtures("app")
BLOB = "ab1"
CONTENT = noise(3_000_000)


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours runs after it but the kernel's closing of files."""


@pytest.fixture
def fetch(app: Flask, origin: Origin) -> Entry:
    """A fetch that waits for a worker."""
    url = origin.serve("/a.txt", Page(CONTENT))
    catalog.add(NewFile("transfer", "1", blob=BLOB, name="a.txt", size=0, source_url=url))
    return entry()


def entry() -> Entry:
    found = catalog.find("transfer", "1")
    assert found
    return found


def set_row(**values: Any) -> None:
    statements.execute(update(File).where(File.id == entry().id).values(values))


def killed_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, fetch: Entry) -> None:
    """Kill a worker right before it calls a function."""

    def die(*_: object, **__: object) -> Never:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(owner, name, die)
        job.run(fetch.id)


def swept() -> list[int]:
    recovery.settle()
    return claims.revive(10)


def spool() -> list[Path]:
    return list(settings.spool_dir.iterdir())


def published() -> bool:
    return blobs.path("transfer", BLOB).exists()


MOMENTS = [
    (PartialFile, "sign"),
    (claims, "claim"),
    (job, "_fetch"),
    (PartialFile, "begin"),
    (Staging, "sync"),
    (Blobs, "publish"),
    (claims, "finish"),
    (recovery, "clear"),
    (PartialFile, "discard"),
]


@pytest.mark.parametrize(("owner", "name"), MOMENTS, ids=[name for _, name in MOMENTS])
def test_the_fetch_of_a_dead_worker_resumes_at_once(
    fetch: Entry, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    killed_at(monkeypatch, owner, name, fetch)
    claims.revive_all()  # as every worker does that starts
    if entry().status == Status.FETCHING:
        assert swept() == [fetch.id]
        job.run(fetch.id)
    recovery.settle()
    assert (entry().status, blobs.path("transfer", BLOB).read_bytes()) == (Status.AVAILABLE, CONTENT)
    assert spool() == []


@pytest.mark.parametrize(("owner", "name"), [(job, "_fetch"), (claims, "finish")])
def test_cancelling_what_a_dead_worker_left_leaves_nothing(
    fetch: Entry, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    killed_at(monkeypatch, owner, name, fetch)
    assert spool()
    assert published() == (owner is claims)
    assert claims.cancel(fetch.id)
    recovery.settle()
    assert (spool(), published()) == ([], False)


def test_a_claim_is_free_once_its_holder_is_known_to_be_dead(fetch: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_at(monkeypatch, job, "_fetch", fetch)
    job.run(fetch.id)  # by a message that came again, before any sweep
    assert entry().status == Status.AVAILABLE


def test_a_claim_stands_while_its_holder_lives(fetch: Entry) -> None:
    with PartialFile(reservations, "transfer", BLOB) as held:
        held.sign("one")
        set_row(lease_token="one", due_at=now() + timedelta(seconds=20))
        assert swept() == []
    assert swept() == [fetch.id]


def test_a_claim_from_another_host_stands_until_it_lapses(fetch: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_at(monkeypatch, job, "_fetch", fetch)
    set_row(lease_token="another", due_at=now() + timedelta(seconds=20))
    assert swept() == []
    job.run(fetch.id)
    assert (entry().status, entry().lease_token) == (Status.FETCHING, "another")
    set_row(due_at=now())
    assert swept() == [fetch.id]


def test_a_worker_without_its_claim_publishes_nothing(fetch: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    removed = []

    def lose(staging: Staging) -> None:
        set_row(lease_token="another")

    monkeypatch.setattr(Staging, "sync", lose)
    monkeypatch.setattr(blobs, "unpublish", lambda *_: removed.append(1))
    job.run(fetch.id)
    assert (entry().status, entry().lease_token) == (Status.FETCHING, "another")
    assert not removed  # it may be the other's
    assert not published()


def test_a_fetch_that_kills_its_worker_every_time_ends(fetch: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(MAX_ATTEMPTS):
        killed_at(monkeypatch, PartialFile, "begin", fetch)
        assert swept() == [fetch.id]
    job.run(fetch.id)
    assert (entry().status, entry().error) == (Status.FAILED, f"Given up after {MAX_ATTEMPTS} attempts.")
    assert spool() == []


def test_attempts_that_got_further_do_not_count(fetch: Entry, monkeypatch: pytest.MonkeyPatch, origin: Origin) -> None:
    monkeypatch.setattr(partial_file, "FIRST_CHECKPOINT_SECONDS", 0)
    origin.pages["/a.txt"].throttle = 300_000
    advance = PartialFile.checkpoint

    def die_after_it(left: PartialFile) -> bool:
        if any(advanced):
            raise Killed
        advanced.append(advance(left))
        return advanced[-1]

    monkeypatch.setattr(PartialFile, "checkpoint", die_after_it)
    for _ in range(3):
        set_row(attempts=MAX_ATTEMPTS - 1)
        advanced: list[bool] = []
        with pytest.raises(Killed):
            job.run(fetch.id)
        assert entry().attempts == 0
    assert entry().received > 0


def test_a_frozen_worker_loses_its_fetch(fetch: Entry) -> None:
    set_row(attempts=MAX_ATTEMPTS)
    with PartialFile(reservations, "transfer", BLOB) as frozen:
        frozen.sign("one")
        job.run(fetch.id)
        assert (entry().status, entry().error) == (Status.FAILED, "Given up: a worker hangs.")
    recovery.settle()
    assert spool() == []


def test_a_message_that_comes_often_is_one_attempt_at_most(fetch: Entry) -> None:
    with PartialFile(reservations, "transfer", BLOB) as held:
        held.sign("one")
        for _ in range(2 * MAX_ATTEMPTS):
            job.run(fetch.id)
    assert (entry().status, entry().attempts) == (Status.FETCHING, 1)
    for called in (2, 3):
        set_row(due_at=now() - timedelta(seconds=1))
        assert claims.revive(1) == [fetch.id]
        with PartialFile(reservations, "transfer", BLOB):
            job.run(fetch.id)
            job.run(fetch.id)
        assert entry().attempts == called


def test_a_duplicate_message_does_not_take_the_claim_of_a_starting_worker(
    fetch: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = PartialFile.sign

    def sign_while_it_comes_again(left: PartialFile, claim: str) -> None:
        monkeypatch.setattr(PartialFile, "sign", sign)
        sign(left, claim)
        job.run(fetch.id)
        assert (entry().status, entry().lease_token) == (Status.FETCHING, None)

    monkeypatch.setattr(PartialFile, "sign", sign_while_it_comes_again)
    job.run(fetch.id)
    assert entry().status == Status.AVAILABLE


def test_a_disk_without_inodes_counts_as_full(app: Flask, fetch: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    app.config["SETTINGS"] = app.config["SETTINGS"].model_copy(update={"fetch_space_seconds": 0})

    def full(*_: object) -> Never:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    job.run(fetch.id)
    assert (entry().status, entry().failure) == (Status.FAILED, "full")
