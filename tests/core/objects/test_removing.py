"""Files in an object store are removed, also while it is away."""

import time
from contextlib import AbstractContextManager, ExitStack
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import obstore
import pytest
from flask import Flask
from flask.testing import FlaskClient
from obstore.store import S3Store
from sqlalchemy import update

from tests.core.objects.streams import CONTENT, NOWHERE, objects, posted, url
from tests.entries import again
from tests.inprocess import made, sweep
from tests.object_stores import ObjectStore, frozen
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File
from vimeo_api.core.files import catalog, placing
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.policy import STREAMS
from vimeo_api.core.storage import buckets, object_store
from vimeo_api.core.storage.object_store import ObjectDraft
from vimeo_api.extensions import blobs
from vimeo_api.services import deletions, files


@pytest.mark.parametrize("when", ["before", "meanwhile", "after"])
def test_a_deleted_file_leaves_no_object(
    app: Flask, client: FlaskClient, bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    stream, copy = posted(client), ObjectDraft.copy

    def copy_and_lose(*words: object) -> str:
        digest = copy(*words)  # type: ignore[arg-type]
        files.remove(STREAMS, stream.key)
        return digest

    if when == "before":
        assert client.delete(url(stream)).status_code == 200
    if when == "meanwhile":
        monkeypatch.setattr(ObjectDraft, "copy", copy_and_lose)
    placing.run(stream.id)
    if when == "after":
        assert objects(bucket, app) == {stream.blob}
        assert client.delete(url(stream)).status_code == 200
    sweep(app)
    assert objects(bucket, app) == set()
    assert client.get(url(stream)).status_code == 404


def test_an_object_is_removed_once_its_object_store_is_set_again(bucket: ObjectStore, tmp_path: Path) -> None:
    settings, data = bucket.settings(tmp_path.name), tmp_path / "data"
    with made("embedded", data, **settings) as app, app.app_context():
        stream = posted(app.test_client())
        sweep(app)
        assert objects(bucket, app) == {stream.blob}
    with made("embedded", data) as without, without.app_context():
        client = without.test_client()
        assert client.delete(url(stream)).status_code == 200
        assert client.get(url(stream)).status_code == 404
        local = posted(client)
        assert client.delete(url(local)).status_code == 200
        assert [catalog.by_id(file.id) is None for file in (stream, local)] == [False, True]
    with made("embedded", data, **settings) as app, app.app_context():
        statements.execute(update(File).values(due_at=now()))
        sweep(app)
        assert (objects(bucket, app), catalog.by_id(stream.id)) == (set(), None)


def test_a_one_time_file_is_used_up_and_its_object_removed(
    app: Flask, client: FlaskClient, bucket: ObjectStore
) -> None:
    link = client.put("/vimeo/api/v1.0/file", data={"file": (BytesIO(CONTENT), "a.bin")}).json["url"]  # type: ignore[index]
    sweep(app)
    assert len(objects(bucket, app)) == 1
    path = "/vimeo" + link.partition("/vimeo")[2]
    with client.get(path) as answer:
        assert answer.data == CONTENT
    assert client.get(path).status_code == 410


def test_removals_do_not_wait_for_a_frozen_object_store_with_every_file(
    app: Flask, client: FlaskClient, bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "_BRIEF_SECONDS", 0.2)
    streams, asked, delete = [posted(client) for _ in range(3)], [], obstore.delete
    sweep(app)

    def noted(store: S3Store, key: str) -> None:
        asked.append(key)
        delete(store, key)

    past = now() - timedelta(seconds=1)
    statements.execute(update(File).values(expires_at=past))
    monkeypatch.setattr(obstore, "delete", noted)
    with frozen(bucket.process.pid):
        sweep(app)
        assert len(asked) == 1
    statements.execute(update(File).values(due_at=past))
    sweep(app)
    assert objects(bucket, app) == set()
    assert {client.get(url(stream)).status_code for stream in streams} == {404}


def placed_where_nothing_answers(bucket: ObjectStore, data: Path, **settings: str) -> AbstractContextManager[Flask]:
    """Make an app behind nginx whose object store is away; `settled` has its files there."""
    return made("production", data, **bucket.settings(data.parent.name) | {"STORE_ENDPOINT": NOWHERE} | settings)


def settled(client: FlaskClient) -> Entry:
    """Return a stream whose row says that its bytes are in the object store."""
    stream = posted(client)
    placed = update(File).where(File.id == stream.id)
    statements.execute(placed.values(pending=False, place_due_at=None, host=None, store=object_store.NAME))
    return again(stream)


def test_a_deletion_is_answered_when_no_cached_response_leads_to_its_object(
    bucket: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "_RETRIES", 0)
    answered = []
    clock = SimpleNamespace(
        monotonic=time.monotonic, sleep=lambda seconds: answered.append(now() + timedelta(seconds=seconds))
    )
    monkeypatch.setattr(deletions, "time", clock)
    with placed_where_nothing_answers(bucket, tmp_path / "data") as app, app.app_context():
        client = app.test_client()
        stream, queued, pending = settled(client), settled(client), posted(client)
        statements.execute(update(File).where(File.id == queued.id).values(queue="q"))
        receipt = client.post("/v1/queues/q/take").json["receipt"]  # type: ignore[index]
        confirmation = f"/v1/queues/q/streams/{queued.key}?receipt={receipt}"
        for file, path in ((stream, url(stream)), (queued, confirmation)):
            until = client.get(url(file)).headers["X-Accel-Expires"]
            assert client.delete(path).status_code == 200
            nginx_asks_again = int(until.removeprefix("@")) + 1
            assert answered.pop().timestamp() >= nginx_asks_again > now().timestamp() + 5
        assert client.delete(url(pending)).status_code == 200
        assert answered == []


def test_few_requests_wait_for_an_object_store_that_does_not_answer(
    bucket: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "_RETRIES", 0)
    with placed_where_nothing_answers(bucket, tmp_path / "data") as app, app.app_context(), ExitStack() as waiting:
        client = app.test_client()
        stream, pending = settled(client), posted(client)
        gate = blobs.objects.gate
        for _ in range(3):
            waiting.enter_context(gate.passing())
        gate.note_failure()
        refused = client.delete(url(stream))
        assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (503, True)
        assert client.get(url(stream)).status_code == 200
        assert client.delete(url(pending)).status_code == 200
        assert client.get(url(pending)).status_code == 404
