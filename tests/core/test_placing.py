"""Placing: from the pending area into the store, whatever happens in between."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from tests.entries import again, found
from tests.services import other_filesystem
from vimeo_api import config, tasks
from vimeo_api.app import create_app
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.fetching import job
from vimeo_api.core.fetching.partial_file import PartialFile
from vimeo_api.core.files import placing, storing
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.maintenance.reconciliation import AGE_SECONDS, findings, repair
from vimeo_api.core.policy import STORE, STREAMS
from vimeo_api.core.storage.filesystem import DRAFTS, FileDraft
from vimeo_api.core.storage.folders import make_folder, remove_from
from vimeo_api.core.storage.stores import Draft
from vimeo_api.core.storage.writer import Writer
from vimeo_api.embedded.server import upgrade_database
from vimeo_api.extensions import blobs, settings
from vimeo_api.services import files, joins

CONTENT = b"content" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Flask]:
    """The embedded app with a store on another filesystem than the spool."""
    with other_filesystem() as folder:
        app = create_app(config.load({"DATA_DIR": str(tmp_path / "data"), "STORE_DIR": str(folder / "store")}))
        upgrade_database(app)
        with app.app_context():
            yield app


def uploaded(*, content: bytes = CONTENT) -> Entry:
    with blobs.stage() as staging:
        staging.write(content)
        return found("streams", storing.upload(STREAMS, staging).key)


def stored(content: bytes = CONTENT) -> Entry:
    with blobs.stage() as staging:
        staging.write(content)
        return found("store", storing.upload_content(STORE, staging))


def lies(entry: Entry) -> tuple[bool, bool]:
    """Return whether the bytes are in the pending area, and in the store."""
    return tuple(blobs.path(entry.surface, entry.blob, pending=pending).exists() for pending in (True, False))  # type: ignore[return-value]


def make_due() -> None:
    moment = now() - timedelta(seconds=1)
    statements.execute(update(File).where(File.place_due_at.is_not(None)).values(place_due_at=moment))


def test_on_one_filesystem_nothing_is_pending(app: Flask) -> None:
    entry = uploaded()
    assert (entry.pending, entry.place_due_at, lies(entry)) == (False, None, (False, True))
    assert placing.due(10) == []


def test_a_pending_file_is_placed_and_its_pending_copy_removed(apart: Flask) -> None:
    entry = uploaded()
    assert (entry.pending, lies(entry)) == (True, (True, False))
    before = blobs.path("streams", entry.blob, pending=True).stat()

    assert placing.due(10) == [entry.id]
    assert placing.due(10) == []  # called for already
    placing.run(entry.id)
    assert (again(entry).pending, again(entry).digest, lies(entry)) == (False, f"sha256:{DIGEST}", (True, True))
    placed = blobs.path("streams", entry.blob)
    assert placed.read_bytes() == CONTENT
    assert (placed.stat().st_mtime_ns, placed.stat().st_mode) == (before.st_mtime_ns, before.st_mode)  # one ETag

    assert placing.due(10) == []  # not before those who were sent to the pending copy have opened it
    make_due()
    assert placing.due(10) == [entry.id]
    placing.run(entry.id)
    assert (again(entry).place_due_at, lies(entry)) == (None, (False, True))
    assert blobs.filesystem.drafts() == []
    placing.run(entry.id)
    assert lies(entry) == (False, True)


def test_a_file_that_is_deleted_leaves_nothing(apart: Flask) -> None:
    for step in range(3):
        entry = uploaded()
        for _ in range(step):
            placing.run(entry.id)
        files.remove(STREAMS, entry.key)
        placing.run(entry.id)
        assert lies(entry) == (False, False)


def test_a_file_deleted_while_it_is_copied_leaves_nothing(apart: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, copy = uploaded(), Writer.copy

    def copy_and_lose(writer: Writer, source: int, size: int) -> None:
        copy(writer, source, size)
        files.remove(STREAMS, entry.key)

    monkeypatch.setattr(Writer, "copy", copy_and_lose)
    placing.run(entry.id)
    assert lies(entry) == (False, False)


def test_a_file_deleted_before_its_copy_has_a_name_leaves_nothing_to_remove(
    apart: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, copied = uploaded(), placing._copied  # noqa: SLF001 -- the moment before the name

    def copied_and_lost(entry: Entry, draft: Draft) -> str:
        digest = copied(entry, draft)
        files.remove(STREAMS, entry.key)
        return digest

    monkeypatch.setattr(placing, "_copied", copied_and_lost)
    monkeypatch.setattr(FileDraft, "withdraw", lambda _: None)  # as if the placer were killed before it
    placing.run(entry.id)
    assert not blobs.path("streams", entry.blob).exists()


def test_a_folder_that_is_emptied_meanwhile_is_made_again(apart: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, locked = uploaded(), blobs.locked

    @contextmanager
    def emptied(surface: str, blob: str) -> Iterator[None]:
        """Let another process, which held the lock before us, remove the last file beside ours."""
        with locked(surface, blob):
            remove_from(blobs.path(surface, f"{blob[:2]}-another"))
            yield

    monkeypatch.setattr(blobs, "locked", emptied)
    placing.run(entry.id)
    assert (again(entry).pending, lies(entry)) == (False, (True, True))


def test_a_file_is_placed_once_a_full_store_has_space_again(apart: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = uploaded()

    def full(*_: object, **__: object) -> None:
        raise StorageFull(os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "copy", full)
        placing.run(entry.id)
    assert (again(entry).pending, lies(entry), blobs.filesystem.drafts()) == (True, (True, False), [])
    due_at = again(entry).place_due_at
    assert due_at is not None
    assert due_at > now() + timedelta(seconds=placing.CALL_SECONDS)
    placing.run(entry.id)
    assert not again(entry).pending


def test_a_corrupt_copy_is_not_served(apart: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, copy = uploaded(), Writer.copy

    def copy_and_damage(writer: Writer, source: int, size: int) -> None:
        copy(writer, source, size)
        writer.write_at(size // 2, b"\0")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "copy", copy_and_damage)
        placing.run(entry.id)
    assert (again(entry).pending, lies(entry)) == (True, (True, False))


def test_a_draft_is_locked_while_its_worker_lives(apart: Flask) -> None:
    entry = uploaded()
    with blobs.filesystem.receiving(entry.surface, entry.blob) as opened:
        assert opened is not None
        placing.run(entry.id)
        assert again(entry).pending
    placing.run(entry.id)
    assert not again(entry).pending


def test_the_same_content_again_is_one_file(apart: Flask) -> None:
    first = stored()
    assert (stored().id, lies(first)) == (first.id, (True, False))
    placing.run(first.id)
    make_due()
    placing.run(first.id)
    assert (stored().id, lies(first)) == (first.id, (False, True))
    files.remove(STORE, first.key)
    assert lies(first) == (False, False)
    second = stored()
    assert (second.pending, lies(second)) == (True, (True, False))


def test_unfinished_drafts_are_reconciled(apart: Flask) -> None:
    kept = uploaded()
    placing.run(kept.id)
    placed = uploaded()
    placing.run(placed.id)
    orphan = blobs.path("streams", "ab" * 16, pending=True)
    draft = settings.store_dir / DRAFTS / "s-b"
    for path in (orphan, draft):
        make_folder(path.parent)
        path.write_bytes(b"x")
    for path in (orphan, draft, blobs.path("streams", kept.blob, pending=True)):
        moment = now().timestamp() - AGE_SECONDS - 60
        os.utime(path, (moment, moment))
    assert repair(findings()) == (2, 0)
    assert not orphan.exists()
    assert blobs.filesystem.drafts() == []
    assert lies(kept) == (True, True)


def test_content_stored_again_by_a_killed_process_is_reconciled(apart: Flask) -> None:
    entry = stored()
    placing.run(entry.id)
    make_due()
    placing.run(entry.id)
    copy = blobs.path("store", entry.blob, pending=True)
    make_folder(copy.parent)
    copy.write_bytes(CONTENT)  # linked, and no row yet
    assert repair(findings()) == (0, 0)  # an upload may be using it
    assert repair(findings(age=-1)) == (1, 0)
    assert (lies(entry), again(entry).status) == ((False, True), "available")


def test_a_pending_copy_that_is_served_or_to_be_removed_is_no_orphan(apart: Flask) -> None:
    served, switched = uploaded(), uploaded()
    placing.run(switched.id)
    assert repair(findings(age=-1)) == (0, 0)
    assert (lies(served), lies(switched)) == ((True, False), (True, True))


def test_a_join_finds_a_stream_that_is_placed_meanwhile(apart: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = uploaded(), uploaded()
    write_at = PartialFile.write_at

    def write_and_place(partial: PartialFile, *words: Any) -> None:
        write_at(partial, *words)
        monkeypatch.setattr(PartialFile, "write_at", write_at)
        placing.run(second.id)
        make_due()
        placing.run(second.id)

    monkeypatch.setattr(PartialFile, "write_at", write_and_place)
    monkeypatch.setattr(tasks, "enqueue", lambda *_: True)
    key = joins.begin(STREAMS, [first.key, second.key], client="me")
    job.run(found("streams", key).id)
    joined = found("streams", key)
    assert blobs.path("streams", joined.blob, pending=True).read_bytes() == 2 * CONTENT
    assert lies(second) == (False, True)
