"""Streams in an object store are joined."""

import random
import tracemalloc
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from tests.core.objects.streams import CONTENT, NOWHERE, end_grace, posted, url
from tests.entries import found
from tests.inprocess import made, sweep
from tests.object_stores import ObjectStore
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.extensions import blobs


def test_streams_in_the_object_store_are_joined(app: Flask, client: FlaskClient) -> None:
    streams = [posted(client, content) for content in (b"one", b"two")]
    sweep(app)
    asked = {"streams": [stream.key for stream in streams]}
    joined = found("streams", client.post("/v1/streams:join", json=asked).json["id"])  # type: ignore[index]
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
    joined = found("streams", answer.json["id"])  # type: ignore[index]
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
        assert found("streams", key).status == Status.FETCHING
    with made("embedded", data, **settings) as app, app.app_context():
        client = app.test_client()
        statements.execute(update(File).where(File.key == key).values(due_at=now()))
        sweep(app)
        assert client.get(f"/v1/streams/{key}").data == b"onetwo"
        blobs.objects.remove("streams", streams[0].blob)
        answer = client.post("/v1/streams:join", json=asked)
        assert answer.status_code == 404
