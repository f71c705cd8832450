"""Files in an object store, a real one: what workers place there, and what is read, removed and found again."""

import random
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from io import BytesIO, RawIOBase
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import obstore
import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from obstore.store import S3Store
from sqlalchemy import select, update

from tests.core.test_round_trips import counted
from tests.inprocess import made, sweep
from tests.object_stores import ObjectStore, damaging, frozen, full, refusing, serving_objects
from tests.origin import Page, serving
from tests.services import await_, files_below
from vimeo_api.config import ConfigError
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.errors import DigestMismatch, NotFound, Unavailable
from vimeo_api.core.files import catalog, copies, moving, placing
from vimeo_api.core.files.catalog import COLUMNS, Entry
from vimeo_api.core.maintenance import reconciliation
from vimeo_api.core.monitoring import readiness
from vimeo_api.core.monitoring.probes import Finding
from vimeo_api.core.monitoring.readiness import check_object_store
from vimeo_api.core.policy import STREAMS
from vimeo_api.core.storage import buckets, object_store
from vimeo_api.core.storage.object_store import ObjectDraft
from vimeo_api.core.storage.stores import Store
from vimeo_api.extensions import blobs
from vimeo_api.service_commands import move as command
from vimeo_api.services import deletions, files

CONTENT = random.randbytes(100_000)
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with serving_objects(tmp_path_factory.mktemp("objects")) as store:
        yield store


@pytest.fixture
def app(bucket: ObjectStore, tmp_path: Path) -> Iterator[Flask]:
    with made("embedded", tmp_path / "data", **bucket.settings(tmp_path.name)) as app, app.app_context():
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def posted(client: FlaskClient, content: bytes = CONTENT) -> Entry:
    """Return a stream that is still to be placed."""
    return entry("streams", client.post("/v1/streams", data=content).json["id"])  # type: ignore[index]


def entry(surface: str, key: str) -> Entry:
    found = catalog.find(surface, key)
    assert found is not None
    return found


def again(old: Entry) -> Entry:
    return entry(old.surface, old.key)


def url(stream: Entry) -> str:
    return f"/v1/streams/{stream.key}"


def objects(bucket: ObjectStore, app: Flask) -> set[str]:
    """Return the names of the objects of a test's app."""
    prefix = app.config["SETTINGS"].store_url.rpartition("/")[2]
    return {key.rpartition("/")[2] for key in bucket.keys(prefix)}


def readiness_of(dependency: str) -> Finding[None]:
    return next(check.finding for check in readiness.checks() if check.name == dependency)


def end_grace() -> None:
    """Have the pending copies of placed files removed now."""
    for row in statements.rows(select(File.id).where(File.place_due_at.is_not(None))):
        past = update(File).where(File.id == row.id).values(place_due_at=now() - timedelta(seconds=1))
        statements.execute(past)
        placing.run(row.id)


def test_a_file_moves_to_the_object_store_and_looks_the_same(
    app: Flask, client: FlaskClient, bucket: ObjectStore
) -> None:
    stream = posted(client)
    before = client.get(url(stream))
    assert (stream.pending, objects(bucket, app)) == (True, set())
    sweep(app)
    end_grace()
    placed = again(stream)
    assert (placed.pending, placed.store, objects(bucket, app)) == (False, "s3", {stream.blob})
    assert files_below(app.config["SETTINGS"].spool_dir) == []
    after = client.get(url(stream))
    assert after.data == before.data == CONTENT
    same = ("ETag", "Last-Modified", "Content-Type", "Accept-Ranges", "Content-Length")
    assert [after.headers[name] for name in same] == [before.headers[name] for name in same]
    part = client.get(url(stream), headers={"Range": "bytes=99990-", "If-Range": after.headers["ETag"]})
    assert (part.status_code, part.data) == (206, CONTENT[99990:])
    assert client.get(url(stream), headers={"If-None-Match": after.headers["ETag"]}).status_code == 304


def test_a_large_file_goes_in_parts(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "PART", 5 * 1024**2)  # the least that S3 takes
    content = random.randbytes(12 * 1024**2)
    stream = posted(client, content)
    sweep(app)
    assert not again(stream).pending
    assert client.get(url(stream)).data == content


def test_a_batch_of_files_takes_no_more_statements_than_one(
    app: Flask, client: FlaskClient, bucket: ObjectStore
) -> None:
    streams = [posted(client, bytes([number])) for number in range(20)]
    with counted() as statements:
        placing.run_due()
    assert len(statements) <= 10
    assert not any(again(stream).pending for stream in streams)
    assert objects(bucket, app) == {stream.blob for stream in streams}
    assert [client.get(url(stream)).data for stream in streams] == [bytes([number]) for number in range(20)]


def test_a_task_takes_no_more_bytes_than_it_places_in_time(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = [posted(client, bytes(100)) for _ in range(3)]
    monkeypatch.setattr(copies, "BATCH_BYTES", 200)
    assert [placing.due(10) for _ in range(3)] == [[streams[0].id, streams[1].id], [streams[2].id], []]
    monkeypatch.setattr(copies, "BATCH_BYTES", 10)
    statements.execute(update(File).values(place_due_at=now()))
    assert len(placing.due(10)) == 1


def test_a_file_that_cannot_be_read_does_not_keep_others_from_their_place(app: Flask, client: FlaskClient) -> None:
    lost, found = posted(client), posted(client)
    blobs.path("streams", lost.blob, pending=True).unlink()
    placing.run_due()
    assert (again(lost).pending, again(found).pending) == (True, False)


@pytest.mark.parametrize("checksum", ["crc64nvme", "sha256"])
def test_bytes_that_are_damaged_on_the_way_are_refused(
    bucket: ObjectStore, tmp_path: Path, checksum: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = bucket.settings(tmp_path.name) | {"STORE_CHECKSUM": checksum}
    with (
        damaging(bucket.endpoint, b"precious", b"previous") as endpoint,
        made("embedded", tmp_path / "data", **settings | {"STORE_ENDPOINT": endpoint}) as app,
        app.app_context(),
    ):
        stream = posted(app.test_client(), b"precious")
        placing.run_due()
        assert (again(stream).pending, objects(bucket, app)) == (True, set())
        assert "received damaged bytes" in caplog.text


def test_a_full_object_store_is_logged_once_and_shown(
    bucket: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "_RETRIES", 0)
    settings = bucket.settings(tmp_path.name)
    with (
        refusing(status=503, code="SlowDown") as endpoint,
        made("embedded", tmp_path / "data", **settings | {"STORE_ENDPOINT": endpoint}) as app,
        app.app_context(),
    ):
        streams = [posted(app.test_client()) for _ in range(10)]
        for _ in range(2):
            statements.execute(update(File).values(place_due_at=now()))
            placing.run(*[stream.id for stream in streams])
        assert caplog.text.count("takes no files: ") == caplog.text.count(f"{endpoint} is full or overloaded") == 1
        placing.run_due()  # leaves it alone
        assert placing.waiting(100) == 10
        assert placing.failing()
    with made("embedded", tmp_path / "data", **settings) as app, app.app_context():
        assert not readiness_of("objects").ok
        sweep(app)
        assert not any(again(stream).pending for stream in streams)
        assert readiness_of("objects").ok


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


def test_a_damaged_copy_is_not_served(
    app: Flask, client: FlaskClient, bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = posted(client)
    monkeypatch.setattr(ObjectDraft, "copy", lambda *_: "00")
    placing.run(stream.id)
    assert again(stream).pending
    assert client.get(url(stream)).data == CONTENT


def test_equal_content_is_one_file_and_no_object_name_is_used_twice(
    app: Flask, client: FlaskClient, bucket: ObjectStore
) -> None:
    digest = client.post("/", data=CONTENT).text
    sweep(app)
    end_grace()
    first = objects(bucket, app)
    assert client.post("/", data=CONTENT).text == digest
    sweep(app)
    assert (objects(bucket, app), len(first)) == (first, 1)
    assert files_below(app.config["SETTINGS"].spool_dir) == []
    assert client.delete(f"/?file_hash={digest}").status_code == 200
    assert client.post("/", data=CONTENT).text == digest
    sweep(app)
    second = objects(bucket, app)
    assert (len(second), first & second) == (1, set())
    assert client.get(f"/?file_hash={digest}").data == CONTENT


def test_streams_in_the_object_store_are_joined(app: Flask, client: FlaskClient) -> None:
    streams = [posted(client, content) for content in (b"one", b"two")]
    sweep(app)
    asked = {"streams": [stream.key for stream in streams]}
    joined = entry("streams", client.post("/v1/streams:join", json=asked).json["id"])  # type: ignore[index]
    sweep(app)
    assert client.get(url(joined)).data == b"onetwo"


def test_a_join_of_objects_holds_little_of_them_in_memory(app: Flask, client: FlaskClient, bucket: ObjectStore) -> None:
    content = random.randbytes(8 * 1024**2)
    large, small = posted(client, content), posted(client)
    sweep(app)
    end_grace()
    asked = {"streams": [large.key, small.key, large.key, large.key]}
    tracemalloc.start()
    answer = client.post("/v1/streams:join", json=asked)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sweep(app)
    joined = entry("streams", answer.json["id"])  # type: ignore[index]
    assert (joined.pending, joined.store) == (False, "s3")
    assert client.get(url(joined)).data == content + CONTENT + 2 * content
    assert most < len(content)


def test_a_join_waits_for_an_object_store_that_is_away_and_fails_for_a_missing_object(
    bucket: ObjectStore, tmp_path: Path
) -> None:
    data, settings = tmp_path / "data", bucket.settings(tmp_path.name)
    with made("embedded", data, **settings) as app, app.app_context():
        streams = [posted(app.test_client(), content) for content in (b"one", b"two")]
        sweep(app)
        end_grace()
    asked = {"streams": [stream.key for stream in streams]}
    with made("embedded", data, **settings | {"STORE_ENDPOINT": NOWHERE}) as app, app.app_context():
        key = app.test_client().post("/v1/streams:join", json=asked).json["id"]  # type: ignore[index]
        assert entry("streams", key).status == Status.FETCHING
    with made("embedded", data, **settings) as app, app.app_context():
        client = app.test_client()
        statements.execute(update(File).where(File.key == key).values(due_at=now()))
        sweep(app)
        assert client.get(f"/v1/streams/{key}").data == b"onetwo"
        blobs.objects.remove("streams", streams[0].blob)
        answer = client.post("/v1/streams:join", json=asked)
        assert answer.status_code == 404


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


def test_an_object_store_that_is_away_loses_nothing(bucket: ObjectStore, tmp_path: Path) -> None:
    data, settings = tmp_path / "data", bucket.settings(tmp_path.name)
    with made("embedded", data, **settings) as app, app.app_context():
        placed = posted(app.test_client())
        placing.run(placed.id)
        end_grace()
    with made("embedded", data, **settings | {"STORE_ENDPOINT": NOWHERE}) as app, app.app_context():
        client = app.test_client()
        stream = posted(client, b"small")
        placing.run(stream.id)
        assert (again(stream).pending, client.get(url(stream)).data) == (True, b"small")
        assert client.get(url(placed)).status_code == 503
        client.delete(url(placed))
        sweep(app)
    with made("embedded", data, **settings) as app, app.app_context():
        statements.execute(update(File).values(due_at=now(), place_due_at=now()))
        sweep(app)
        assert objects(bucket, app) == {stream.blob}
        assert app.test_client().get(url(stream)).data == b"small"


def test_what_crashes_left_is_found(app: Flask, client: FlaskClient, bucket: ObjectStore) -> None:
    kept, lost = posted(client), posted(client)
    sweep(app)
    obstore.delete(app.extensions["blobs"].objects._client, f"streams/{lost.blob[:2]}/{lost.blob}")  # noqa: SLF001
    prefix = app.config["SETTINGS"].store_url.rpartition("/")[2]
    obstore.put(bucket.client(), f"{prefix}/streams/ab/ab1", b"nobody's")
    obstore.put(bucket.client(), f"{prefix}/notes.txt", b"somebody's")
    statements.execute(update(File).values(created_at=now() - timedelta(days=2)))
    found = [(finding.kind, finding.repair is not None) for finding in reconciliation.findings(age=0)]
    assert sorted(set(found)) == [("missing", False), ("orphan", True)]
    reconciliation.repair(reconciliation.findings(age=0))
    assert objects(bucket, app) == {kept.blob, "notes.txt"}


def test_damaged_objects_are_found(app: Flask, client: FlaskClient, bucket: ObjectStore) -> None:
    streams = [posted(client, bytes([number]) * 3) for number in range(3)]
    sweep(app)
    end_grace()
    prefix = app.config["SETTINGS"].store_url.rpartition("/")[2]
    for stream, content in zip(streams, (b"abc", b"short"), strict=False):
        obstore.put(bucket.client(), f"{prefix}/streams/{stream.blob[:2]}/{stream.blob}", content)
    statements.execute(update(File).values(created_at=now() - timedelta(days=2)))
    found = [finding.about for finding in reconciliation.findings(age=0) if finding.kind == "damaged"]
    assert len(found) == 2
    assert "5 bytes instead of 3" in found[0]
    assert "another sha256" in found[1]


def test_through_answers_once_the_file_is_in_the_object_store(bucket: ObjectStore, tmp_path: Path) -> None:
    settings = bucket.settings(tmp_path.name) | {"PLACE": "through"}
    with made("embedded", tmp_path / "data", **settings) as app, app.app_context():
        stream = posted(app.test_client())
        assert (stream.pending, objects(bucket, app)) == (False, {stream.blob})
    with made("embedded", tmp_path / "data", **settings | {"STORE_ENDPOINT": NOWHERE}) as app, app.app_context():
        assert app.test_client().post("/v1/streams", data=CONTENT).status_code == 503
        assert catalog.count("streams") == 1


def test_through_has_fetches_and_joins_in_the_object_store_before_they_are_available(
    bucket: ObjectStore, tmp_path: Path
) -> None:
    data, settings = tmp_path / "data", bucket.settings(tmp_path.name) | {"PLACE": "through"}
    allowed = {"FETCH_ALLOW_PRIVATE": "1"}
    with serving() as origin, made("embedded", data, **settings, **allowed) as app, app.app_context():
        origin.pages["/a.bin"] = Page(CONTENT)
        client = app.test_client()
        asked = {"streams": [posted(client, content).key for content in (b"one", b"two")]}
        joined = entry("streams", client.post("/v1/streams:join", json=asked).json["id"])  # type: ignore[index]
        assert client.post("/uploadFile", json={"file": origin.url("/a.bin")}).status_code == 200
        (fetched,) = catalog.entries(select(*COLUMNS).where(File.surface == "transfer"))
        assert [(file.pending, file.store, file.status) for file in (joined, fetched)] == [
            (False, "s3", Status.AVAILABLE)
        ] * 2
        assert {joined.blob, fetched.blob} < objects(bucket, app)
        assert client.get(url(joined)).data == b"onetwo"
        assert files_below(app.config["SETTINGS"].spool_dir) == []
        assert placing.waiting(10) == 0


def test_through_leaves_no_object_of_an_upload_that_is_refused(bucket: ObjectStore, tmp_path: Path) -> None:
    settings = bucket.settings(tmp_path.name) | {"PLACE": "through"}
    with made("embedded", tmp_path / "data", **settings) as app, app.app_context():
        client = app.test_client()
        assert [client.post("/upload/a.txt", data=CONTENT).status_code for _ in range(2)] == [201, 409]
        digests = {client.post("/", data=CONTENT).text for _ in range(2)}
        assert len(digests) == 1
        kept = {entry("named", "a.txt").blob, entry("store", digests.pop()).blob}
        assert objects(bucket, app) == kept
        assert placing.waiting(10) == 0
        assert files_below(app.config["SETTINGS"].spool_dir) == []
        assert client.get("/download/a.txt").data == CONTENT


def test_an_object_store_that_is_full_keeps_files_pending_or_gets_through_503(
    bucket: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "_RETRIES", 0)
    monkeypatch.setattr(object_store, "_AWAY_SECONDS", 0)
    data, settings = tmp_path / "data", bucket.settings(tmp_path.name)
    with made("embedded", data, **settings) as app, app.app_context():
        client = app.test_client()
        placed = posted(client)
        placing.run(placed.id)  # SeaweedFS does not answer if it is full before it has made its own files
        with full(bucket.process.pid):
            stream = posted(client)
            placing.run(stream.id)
            assert (again(stream).pending, client.get(url(stream)).data) == (True, CONTENT)
            with made("embedded", data, **settings | {"PLACE": "through"}) as through, through.app_context():
                refused = through.test_client().post("/v1/streams", data=b"more")
        assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (503, True)
        statements.execute(update(File).values(place_due_at=now()))
        sweep(app)
        assert objects(bucket, app) == {placed.blob, stream.blob}
        assert client.get(url(stream)).data == CONTENT


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


def test_an_object_store_that_does_not_answer_gets_through_503_in_time(
    bucket: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "_BRIEF_SECONDS", 0.2)
    monkeypatch.setattr(object_store, "_AWAY_SECONDS", 0)
    settings = bucket.settings(tmp_path.name) | {"PLACE": "through"}
    with made("embedded", tmp_path / "data", **settings) as app, app.app_context():
        client = app.test_client()
        with frozen(bucket.process.pid):
            assert client.post("/v1/streams", data=CONTENT).status_code == 503
        assert catalog.count("streams") == 0
        await_(lambda: client.post("/v1/streams", data=CONTENT).status_code == 201)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": "another"}, "AWS_ACCESS_KEY_ID is not known at"),
        ({"AWS_SECRET_ACCESS_KEY": "another"}, "AWS_SECRET_ACCESS_KEY does not fit AWS_ACCESS_KEY_ID at"),
        ({"STORE_URL": "s3://another"}, "The credentials may not write to the bucket another at"),
    ],
)
def test_a_refusal_stops_the_start_with_a_sentence(
    bucket: ObjectStore, tmp_path: Path, changed: dict[str, str], sentence: str
) -> None:
    settings = bucket.settings() | changed
    with (
        made("embedded", tmp_path / "data", **settings) as app,
        app.app_context(),
        pytest.raises(ConfigError, match=sentence),
    ):
        check_object_store()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"status": 404, "code": "NoSuchBucket"}, "STORE_URL: there is no bucket files at"),
        (
            {"status": 400, "code": "AuthorizationHeaderMalformed"},
            "STORE_REGION is not the region of the bucket files at",
        ),
        ({"status": 400, "code": "ExpiredToken"}, "The credentials for the bucket files at .* have expired"),
        ({"status": 403, "code": "RequestTimeTooSkewed"}, "The clock of this host differs from that of"),
        ({"status": 403, "code": "AccessDenied"}, "The credentials may not write to the bucket files at"),
        (
            {"status": 400, "code": "InvalidArgument", "message": "x-amz-checksum-crc64nvme is not supported"},
            "set STORE_CHECKSUM=sha256",
        ),
    ],
)
def test_the_start_says_which_setting_is_wrong(
    bucket: ObjectStore, tmp_path: Path, answer: dict[str, Any], sentence: str
) -> None:
    with (
        refusing(**answer) as endpoint,
        made("embedded", tmp_path / "data", **bucket.settings() | {"STORE_ENDPOINT": endpoint}) as app,
        app.app_context(),
        pytest.raises(ConfigError, match=sentence),
    ):
        check_object_store()


def test_the_start_does_not_wait_for_an_object_store_that_is_away(
    bucket: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = bucket.settings() | {"STORE_ENDPOINT": NOWHERE}
    with (
        made("embedded", tmp_path / "data", **away) as app,
        app.app_context(),
    ):
        check_object_store()
        assert f"nothing answers at {NOWHERE}" in caplog.text
    with made("embedded", tmp_path / "data", **bucket.settings()) as app, app.app_context():
        check_object_store()


def test_rows_of_an_object_store_that_is_no_longer_set_get_503(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    stream = posted(client)
    sweep(app)
    end_grace()
    with made("embedded", tmp_path / "data") as without, without.app_context():
        assert without.test_client().get(url(stream)).status_code == 503
        assert blobs.target.name == "filesystem"


def test_files_move_to_the_object_store_and_back(bucket: ObjectStore, tmp_path: Path) -> None:
    data, settings = tmp_path / "data", bucket.settings(tmp_path.name)
    with made("embedded", data) as app, app.app_context():
        client = app.test_client()
        streams = [posted(client, content) for content in (b"one", b"two")]
        statements.execute(update(File).where(File.id == streams[0].id).values(modified=None))  # of an older version
        before = [client.get(url(stream)).headers["ETag"] for stream in streams]
        client.delete(url(streams.pop()))
        store = app.config["SETTINGS"].store_dir
    with made("embedded", data, **settings) as app, app.app_context():
        client = app.test_client()
        for target in (blobs.objects, blobs.filesystem):
            (entry,) = batch = moving.batch(target, after=0)
            assert moving.move(batch, target) == (batch, [])
            moving.remove_old(batch)
            assert (again(entry).store, moving.batch(target, after=0)) == (target.name, [])
            answer = client.get(url(entry))
            assert (answer.data, answer.headers["ETag"]) == (b"one", before[0])
            in_bucket = {entry.blob} if target is blobs.target else set()
            in_folder = [] if in_bucket else [entry.blob]
            assert (objects(bucket, app), [path.name for path in files_below(store)]) == (in_bucket, in_folder)


def _moved(stream: Entry, target: Store) -> list[int]:
    """Move a file; return its id if it was moved."""
    moved, failures = moving.move([again(stream)], target)
    assert failures == []
    return [entry.id for entry in moved]


def _failed(stream: Entry, target: Store) -> list[type[Exception]]:
    """Try to move a file; return why it was not moved."""
    moved, failures = moving.move([stream], target)
    assert moved == []
    return [type(failure.error) for failure in failures]


def test_many_files_move_together(app: Flask, client: FlaskClient, bucket: ObjectStore) -> None:
    streams = [posted(client, bytes([number])) for number in range(20)]
    sweep(app)
    end_grace()
    damaged = again(streams[7])
    statements.execute(update(File).where(File.id == damaged.id).values(digest="sha256:00"))
    batch = moving.batch(blobs.filesystem, after=0)
    with counted() as spent:
        moved, failures = moving.move(batch, blobs.filesystem)
    assert len(spent) <= 2
    assert (len(moved), [failure.entry.id for failure in failures]) == (19, [damaged.id])
    moving.remove_old(moved)
    assert objects(bucket, app) == {damaged.blob}
    assert [client.get(url(stream)).data for stream in streams] == [bytes([number]) for number in range(20)]


def test_a_move_that_is_stopped_has_removed_what_it_moved_and_resumes(
    app: Flask, client: FlaskClient, bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = posted(client, b"one"), posted(client, b"two")
    sweep(app)
    end_grace()
    monkeypatch.setattr(command, "load_existing", lambda: app)
    monkeypatch.setattr(command, "MIN_GRACE_SECONDS", 0)
    words, source = ["--to", "filesystem"], blobs.objects.open

    def stopped(surface: str, blob: str, size: int | None = None) -> RawIOBase:
        if blob == second.blob:
            raise Unavailable("The object store is away.")
        return source(surface, blob, size)

    with monkeypatch.context() as away:
        away.setattr(blobs.objects, "open", stopped)
        result = CliRunner().invoke(command.move, words)
    assert (result.exit_code, "away. Run it again to resume; 1 files moved." in result.output) == (1, True)
    assert objects(bucket, app) == {second.blob}
    result = CliRunner().invoke(command.move, words)
    assert (result.exit_code, result.output) == (0, "1 files moved\ndone: 1 moved, 0 failed\n")
    assert objects(bucket, app) == set()
    assert [client.get(url(stream)).data for stream in (first, second)] == [b"one", b"two"]


def test_two_moves_of_a_file_at_once_lose_nothing(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, source = posted(client), moving._source  # noqa: SLF001 -- between the copy and the switch
    sweep(app)
    end_grace()
    assert _moved(stream, blobs.filesystem) == [stream.id]

    @contextmanager
    def overtaken(entry: Entry) -> Iterator[tuple[int, int]]:
        with source(entry) as opened:
            yield opened
        statements.execute(update(File).values(store="s3"))

    monkeypatch.setattr(moving, "_source", overtaken)
    assert _moved(stream, blobs.objects) == []
    moving.remove_old([replace(again(stream), store="filesystem")])
    assert client.get(url(stream)).data == CONTENT


def test_an_object_of_another_size_is_damaged_and_not_away(
    app: Flask, client: FlaskClient, bucket: ObjectStore
) -> None:
    stream = posted(client)
    sweep(app)
    end_grace()
    stream = again(stream)
    obstore.put(blobs.objects._client, f"streams/{stream.blob[:2]}/{stream.blob}", b"short")  # noqa: SLF001
    assert client.get(url(stream)).status_code == 503
    assert _failed(stream, blobs.filesystem) == [DigestMismatch]
    joined = client.post("/v1/streams:join", json={"streams": [stream.key]})
    assert (joined.status_code, joined.text) == (502, "A stream that was to be joined is damaged.\n")
    assert "damaged" in [finding.kind for finding in reconciliation.findings(age=0)]


def test_a_damaged_or_deleted_file_is_not_moved(
    app: Flask, client: FlaskClient, bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = posted(client)
    sweep(app)
    end_grace()
    statements.execute(update(File).values(digest="sha256:00"))
    assert _failed(again(stream), blobs.filesystem) == [DigestMismatch]
    assert client.get(url(stream)).data == CONTENT
    statements.execute(update(File).values(digest=None))
    old = again(stream)
    client.delete(url(stream))
    sweep(app)
    assert _failed(old, blobs.filesystem) == [NotFound]
    assert files_below(app.config["SETTINGS"].store_dir) == []
