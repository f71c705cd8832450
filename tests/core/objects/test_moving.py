"""`manage.py move`: files move to the object store, and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path

import obstore
import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from tests.core.objects.streams import CONTENT, end_grace, objects, posted, url
from tests.core.test_round_trips import counted
from tests.entries import again
from tests.inprocess import made, sweep
from tests.object_stores import ObjectStore
from tests.services import files_below
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File
from vimeo_api.core.errors import DigestMismatch, NotFound, Unavailable
from vimeo_api.core.files import moving
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.maintenance import reconciliation
from vimeo_api.core.storage.stores import Store
from vimeo_api.extensions import blobs
from vimeo_api.service_commands import move as command


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
    moving.remove_old([again(stream)._replace(store="filesystem")])
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
    assert _failed(old, blobs.filesystem) == []  # it need not be moved
    lost = posted(client)
    sweep(app)
    end_grace()
    blobs.objects.remove(lost.surface, lost.blob)
    assert _failed(again(lost), blobs.filesystem) == [NotFound]
    assert files_below(app.config["SETTINGS"].store_dir) == []
