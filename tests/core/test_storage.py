"""The disk: published bytes stay, unpublished ones go."""

import errno
import os
import random
from pathlib import Path

import pytest
from flask import Flask

from vimeo_api.core.errors import Malformed, StorageFull
from vimeo_api.extensions import blobs, settings


def test_published_bytes_outlive_their_staging(app: Flask) -> None:
    with blobs.stage() as staging:
        staging.write(b"abc")
        staging.write(b"def")
        assert staging.size == 6
        blobs.publish(staging, "vimeo", "blob")
    path = settings.store_dir / "vimeo" / "bl" / "blob"
    assert path.read_bytes() == b"abcdef"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_nlink == 1
    assert list(settings.spool_dir.iterdir()) == []


def test_unpublished_bytes_are_discarded(app: Flask) -> None:
    with pytest.raises(ConnectionError), blobs.stage() as staging:
        staging.write(b"abc")
        raise ConnectionError
    assert list(settings.spool_dir.iterdir()) == []


def test_it_refuses_to_overwrite(app: Flask) -> None:
    for content, expected in ((b"one", None), (b"two", FileExistsError)):
        with blobs.stage() as staging:
            staging.write(content)
            if expected is None:
                blobs.publish(staging, "vimeo", "blob")
            else:
                with pytest.raises(expected):
                    blobs.publish(staging, "vimeo", "blob")
    assert blobs.path("vimeo", "blob").read_bytes() == b"one"


def test_no_kill_leaves_a_probe_behind(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    assert not blobs.uses_pending()
    assert [path.name for path in settings.store_dir.iterdir()] == [".mark"]
    assert list(settings.spool_dir.iterdir()) == []


def test_an_existing_name_is_made_durable_too(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    with blobs.stage() as staging:
        blobs.publish(staging, "store", "blob")  # perhaps by a process that was killed before the name was durable
    synced: list[Path] = []
    monkeypatch.setattr("vimeo_api.core.storage.blobs.fsync_folder", synced.append)
    with blobs.stage() as staging, pytest.raises(FileExistsError):
        blobs.publish(staging, "store", "blob")
    assert synced == [settings.store_dir / "store" / "bl"]


def test_removing_a_missing_blob_succeeds(app: Flask) -> None:
    blobs.unpublish("vimeo", "blob")
    with blobs.stage() as staging:
        blobs.publish(staging, "vimeo", "blob")
    blobs.unpublish("vimeo", "blob")
    blobs.unpublish("vimeo", "blob")
    assert not blobs.path("vimeo", "blob").exists()


def test_it_publishes_in_the_order_that_survives_a_power_cut(app: Flask, steps: list[tuple[str, Path]]) -> None:
    blobs.uses_pending()  # tries a link by itself, once
    steps.clear()
    with blobs.stage() as staging:
        staging.sync()
        blobs.publish(staging, "vimeo", "blob")
        file = staging.path
    folder = settings.store_dir / "vimeo" / "bl"
    assert steps == [
        ("fsync", file),
        ("fsync", settings.store_dir),
        ("fsync", folder.parent),
        ("link", folder / "blob"),
        ("fsync", folder),
    ]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_has_an_error_of_its_own(app: Flask, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(*_: object) -> int:
        raise OSError(number, "full")

    with pytest.raises(StorageFull), blobs.stage() as staging:
        monkeypatch.setattr(os, "write", full)
        staging.write(b"abc")
    assert list(settings.spool_dir.iterdir()) == []


def test_a_body_file_must_lie_in_the_spool_and_be_no_link(app: Flask, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"x")
    for path in (outside, settings.spool_dir / ".." / "secret.key", Path("relative")):
        with pytest.raises(Malformed):
            blobs.adopt(path)
    (settings.spool_dir / "link").symlink_to(outside)
    with pytest.raises(OSError, match="symbolic"):
        blobs.adopt(settings.spool_dir / "link")
    body = settings.spool_dir / "body"
    body.write_bytes(b"abc")
    with blobs.adopt(body) as adopted:
        blobs.publish(adopted, "vimeo", "blob")
    assert body.exists()
    assert blobs.path("vimeo", "blob").read_bytes() == b"abc"


@pytest.mark.parametrize("span", [(0, 7), (1, 7), (5, 700_001), (300_000, 700_000), (700_001, 700_001), (9, 9)])
def test_it_cuts_a_file_down_to_a_span(app: Flask, span: tuple[int, int]) -> None:
    whole = random.Random(span[1]).randbytes(700_001)
    with blobs.stage() as staging:
        staging.write(whole)
        staging.cut(*span)
        assert staging.path.read_bytes() == whole[span[0] : span[1]]


def test_it_does_not_wait_for_bytes_beyond_the_end_of_a_file(app: Flask) -> None:
    with blobs.stage() as staging:
        staging.write(b"abcdef")
        with pytest.raises(OSError, match="shrunk"):
            staging.cut(2, 9)


def test_a_worker_that_has_published_its_draft_leaves_that_of_the_next_alone(app: Flask) -> None:
    with blobs.stage() as staging:
        staging.write(b"abc")
        first, second = (blobs.filesystem.receiving("streams", "blob") for _ in range(2))
        with first as mine:
            assert mine is not None
            mine.copy(staging.descriptor, "sha256", lambda _: None)
            mine.keep()
            theirs = second.__enter__()
        assert theirs is not None
        theirs.copy(staging.descriptor, "sha256", lambda _: None)
        theirs.keep()
        second.__exit__(None, None, None)
    assert blobs.path("streams", "blob").read_bytes() == b"abc"
    assert blobs.filesystem.drafts() == []
