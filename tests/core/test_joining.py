"""Joins: what is checked before a byte is written, and how a worker's job resumes and ends."""

import hashlib
import os
import random
import shutil
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from vimeo_api import tasks
from vimeo_api.core import policy
from vimeo_api.core.access import api_tokens
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File
from vimeo_api.core.errors import Malformed, NotFound, QuotaExceeded, StorageFull, TooLarge
from vimeo_api.core.fetching import job
from vimeo_api.core.fetching.partial_file import PartialFile
from vimeo_api.core.files import catalog, lifecycle, queues, storing
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.storage.reservations import Reservations
from vimeo_api.extensions import blobs, settings
from vimeo_api.services import joins

MIB = 1024**2
STREAMS = policy.STREAMS
CONTENT = random.Random(1).randbytes(3 * MIB + 7)


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.fixture(autouse=True)
def _no_broker(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "enqueue", lambda *_: True)


def stored(content: bytes, token_id: int | None = None) -> str:
    with blobs.stage() as staging:
        staging.write(content)
        return storing.upload(STREAMS, staging, token_id=token_id).key


def begin(keys: list[str], **more: Any) -> str:
    return joins.begin(STREAMS, keys, client="me", **more)


def work(key: str) -> None:
    job.run(found(key).id)


def found(key: str) -> Entry:
    entry = catalog.find("streams", key)
    assert entry is not None
    return entry


def state(key: str) -> tuple[Any, ...]:
    status = joins.status(STREAMS, key)
    return status["state"], status["failure"]


def holder(quota: int) -> int:
    found = api_tokens.holder(api_tokens.create("robot", ["*:*"], quota=quota))
    assert found is not None
    return found.id


def test_a_small_request_to_join_cannot_fill_the_disk(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    key = stored(bytes(MIB))
    keep = shutil.disk_usage(settings.spool_dir).free - 50 * MIB
    monkeypatch.setitem(app.extensions, "reservations", Reservations(settings.spool_dir, keep_free=keep))
    with pytest.raises(StorageFull):
        begin([key] * 90)


def test_a_join_counts_against_the_quota(app: Flask) -> None:
    token_id = holder(4 * MIB)
    key = stored(bytes(MIB), token_id)
    begin([key] * 2, token_id=token_id)  # counts before it is written
    with pytest.raises(QuotaExceeded):
        begin([key] * 2, token_id=token_id)


def test_a_failed_join_frees_its_quota(app: Flask) -> None:
    token_id = holder(4 * MIB)
    key = stored(bytes(MIB), token_id)
    joins.cancel(STREAMS, begin([key] * 3, token_id=token_id))
    joined = begin([key] * 2, token_id=token_id)
    work(joined)
    assert state(joined) == ("available", None)


def test_repeats_and_output_are_limited(app: Flask) -> None:
    key = stored(b"x")
    with pytest.raises(Malformed):
        begin([key] * 101)
    streams = settings.streams.model_copy(update={"join_max_bytes": 99})
    app.config["SETTINGS"] = settings.model_copy(update={"streams": streams})
    with pytest.raises(TooLarge):
        begin([key] * 100)


def test_an_unfinished_join_cannot_be_joined(app: Flask) -> None:
    joined = begin([stored(b"x")])
    with pytest.raises(NotFound):
        begin([joined])


def test_the_join_of_a_killed_worker_resumes(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [stored(CONTENT), stored(b""), stored(CONTENT[::-1])]
    joined = begin([*keys, keys[0]])
    written: list[int] = []
    write_at = PartialFile.write_at

    def write_and_die(partial: PartialFile, offset: int, data: bytes) -> None:
        write_at(partial, offset, data)
        written.append(offset)
        if len(written) == 6:
            partial.note()
            raise Killed

    monkeypatch.setattr(PartialFile, "write_at", write_and_die)
    with pytest.raises(Killed):
        work(joined)
    work(joined)
    assert len(written) == len(set(written)) == 12
    whole = CONTENT + CONTENT[::-1] + CONTENT
    entry = found(joined)
    assert blobs.path("streams", entry.blob).read_bytes() == whole
    assert (entry.size, entry.digest) == (len(whole), f"sha256:{hashlib.sha256(whole).hexdigest()}")
    assert not list(blobs.spool.glob("fetch-*"))


def test_a_join_waits_for_a_source_on_a_host_that_is_away(app: Flask) -> None:
    key = stored(b"x")
    joined = begin([key])
    away = update(File).where(File.key == key)
    statements.execute(away.values(pending=True, host="away"))
    for _ in range(job.MAX_ATTEMPTS + 1):
        assert job.run(found(joined).id) == [], "it is called again at once"
    assert state(joined) == ("fetching", None)
    statements.execute(away.values(pending=False, host=None))  # it was placed
    work(joined)
    assert state(joined) == ("available", None)


def test_a_join_whose_source_is_damaged_fails(app: Flask) -> None:
    key = stored(b"whole")
    joined = begin([key])
    os.truncate(blobs.path("streams", found(key).blob), 3)
    work(joined)
    assert state(joined) == ("failed", "mismatch")


def test_a_join_whose_source_is_deleted_fails(app: Flask) -> None:
    key = stored(b"x")
    joined = begin([key])
    assert lifecycle.remove(found(key))
    work(joined)
    assert state(joined) == ("failed", "source")


def test_a_join_that_is_cancelled_leaves_nothing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = begin([stored(CONTENT)] * 2)
    write_at = PartialFile.write_at

    def write_and_cancel(partial: PartialFile, offset: int, data: bytes) -> None:
        write_at(partial, offset, data)
        joins.cancel(STREAMS, joined)

    monkeypatch.setattr(PartialFile, "write_at", write_and_cancel)
    work(joined)
    assert state(joined) == ("failed", "cancelled")
    assert not list(blobs.spool.glob("fetch-*"))
    assert not blobs.path("streams", found(joined).blob).exists()


def test_a_queue_shows_a_join_once_it_is_done(app: Flask) -> None:
    joined = begin([stored(b"x")], queue="q")
    assert queues.listing("streams", "q", after=None, limit=9) == []
    work(joined)
    assert [entry.key for entry in queues.listing("streams", "q", after=None, limit=9)] == [joined]
