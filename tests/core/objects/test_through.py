"""`PLACE=through`: an upload is answered once the object store has the file."""

from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.core.objects.streams import CONTENT, NOWHERE, objects, posted, url
from tests.entries import again, found
from tests.inprocess import made, sweep
from tests.object_stores import ObjectStore, frozen, full
from tests.origin import Page, serving
from tests.services import await_, files_below
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.files import catalog, lists, placing
from vimeo_api.core.files.catalog import COLUMNS
from vimeo_api.core.storage import buckets, object_store
from vimeo_api.extensions import blobs


def test_through_answers_once_the_file_is_in_the_object_store(bucket: ObjectStore, tmp_path: Path) -> None:
    settings = bucket.settings(tmp_path.name) | {"PLACE": "through"}
    with made("embedded", tmp_path / "data", **settings) as app, app.app_context():
        stream = posted(app.test_client())
        assert (stream.pending, objects(bucket, app)) == (False, {stream.blob})
    with made("embedded", tmp_path / "data", **settings | {"STORE_ENDPOINT": NOWHERE}) as app, app.app_context():
        assert app.test_client().post("/v1/streams", data=CONTENT).status_code == 503
        assert lists.count("streams") == 1


def test_through_has_fetches_and_joins_in_the_object_store_before_they_are_available(
    bucket: ObjectStore, tmp_path: Path
) -> None:
    data, settings = tmp_path / "data", bucket.settings(tmp_path.name) | {"PLACE": "through"}
    allowed = {"FETCH_ALLOW_PRIVATE": "1"}
    with serving() as origin, made("embedded", data, **settings, **allowed) as app, app.app_context():
        origin.pages["/a.bin"] = Page(CONTENT)
        client = app.test_client()
        asked = {"streams": [posted(client, content).key for content in (b"one", b"two")]}
        joined = found("streams", client.post("/v1/streams:join", json=asked).json["id"])  # type: ignore[index]
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
        kept = {found("named", "a.txt").blob, found("store", digests.pop()).blob}
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
        assert lists.count("streams") == 0
        await_(lambda: client.post("/v1/streams", data=CONTENT).status_code == 201)


def test_one_answer_of_the_object_store_ends_the_pause_after_a_failure(bucket: ObjectStore, tmp_path: Path) -> None:
    settings = bucket.settings(tmp_path.name) | {"PLACE": "through"}
    with made("embedded", tmp_path / "data", **settings) as app, app.app_context():
        client, store = app.test_client(), blobs.objects
        store.note_failure(Unavailable("It was frozen."))
        assert client.post("/v1/streams", data=CONTENT).status_code == 503
        store.note_success()  # for an upload that was waiting
        assert client.post("/v1/streams", data=CONTENT).status_code == 201
