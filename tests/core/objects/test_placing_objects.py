"""What workers place in an object store, a real one, and what is read from there."""

import random
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import obstore
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from tests.core.objects.streams import CONTENT, NOWHERE, end_grace, objects, posted, readiness_of, url
from tests.core.test_round_trips import counted
from tests.entries import again
from tests.inprocess import made, sweep
from tests.object_stores import ObjectStore, between, damaging, refusing
from tests.services import files_below
from vimeo_api import tasks
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File
from vimeo_api.core.files import copies, placing
from vimeo_api.core.maintenance import reconciliation
from vimeo_api.core.storage import buckets, object_store
from vimeo_api.core.storage.object_store import ObjectDraft
from vimeo_api.extensions import blobs


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


def test_an_object_store_that_is_away_loses_nothing(
    bucket: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
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
        tasks.reconcile()
        assert "not reconciling further: STORE_ENDPOINT: nothing answers" in caplog.text
    with made("embedded", data, **settings) as app, app.app_context():
        statements.execute(update(File).values(due_at=now(), place_due_at=now()))
        sweep(app)
        assert objects(bucket, app) == {stream.blob}
        assert app.test_client().get(url(stream)).data == b"small"


def test_a_file_whose_object_cannot_be_read_is_503_and_stays(bucket: ObjectStore, tmp_path: Path) -> None:
    with between(bucket.endpoint) as proxy:
        settings = bucket.settings(tmp_path.name) | {"STORE_ENDPOINT": proxy.endpoint}
        with made("embedded", tmp_path / "data", **settings) as app, app.app_context():
            client = app.test_client()
            stream = url(posted(client))
            link = client.put("/vimeo/api/v1.0/file", data={"file": (BytesIO(CONTENT), "a.bin")}).json["url"]  # type: ignore[index]
            once = "/vimeo" + link.partition("/vimeo")[2]
            sweep(app)
            end_grace()
            head = b"HTTP/1.1 200 OK\r\nETag: t\r\nLast-Modified: Mon, 05 Jan 2026 10:00:00 GMT\r\n"
            proxy.methods, proxy.says = (b"GET",), head + b"Content-Length: 100000\r\n\r\ncut"
            for path in (stream, once):
                with client.get(path) as answer:
                    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
                assert client.head(path).status_code == 200
            proxy.says = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
            assert client.get(stream).status_code == 404  # removed in this moment
            proxy.says = b""
            for path in (stream, once):
                with client.get(path) as answer:
                    assert answer.data == CONTENT


def test_what_crashes_left_is_found(app: Flask, client: FlaskClient, bucket: ObjectStore) -> None:
    kept, lost = posted(client), posted(client)
    sweep(app)
    obstore.delete(app.extensions["blobs"].objects._client, f"streams/{lost.blob[:2]}/{lost.blob}")  # noqa: SLF001
    prefix = app.config["SETTINGS"].store_url.rpartition("/")[2]
    obstore.put(bucket.client(), f"{prefix}/streams/ab/ab1", b"nobody's")
    for name in ("notes.txt", "photos/ab/abc.jpg"):
        obstore.put(bucket.client(), f"{prefix}/{name}", b"somebody's")
    statements.execute(update(File).values(created_at=now() - timedelta(days=2)))
    found = [(finding.kind, finding.repair is not None) for finding in reconciliation.findings(age=0)]
    assert sorted(set(found)) == [("missing", False), ("orphan", True)]
    reconciliation.repair(reconciliation.findings(age=0))
    assert objects(bucket, app) == {kept.blob, "notes.txt", "abc.jpg"}


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
