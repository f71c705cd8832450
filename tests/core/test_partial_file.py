"""Partial files: their notes are true, even after a crash at any moment."""

import fcntl
import os
import threading
from pathlib import Path
from typing import Never

import pytest
from flask import Flask

from tests.origin import noise
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.fetching import partial_file
from vimeo_api.core.fetching.client import Fetched
from vimeo_api.core.fetching.headers import Version
from vimeo_api.core.fetching.partial_file import Busy, PartialFile
from vimeo_api.extensions import reservations, settings

pytestmark = pytest.mark.usefixtures("app")
CONTENT = noise(100_000)


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours runs after it but the kernel's closing of files."""


def offer(etag: str = '"one"') -> Fetched:
    return Fetched("http://h/a", "a", Version(len(CONTENT), etag))


def opened() -> PartialFile:
    return PartialFile(reservations, "transfer", "ab1")


@pytest.fixture
def noted(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A partial file whose first half is noted, left by a dead process."""
    monkeypatch.setattr(partial_file, "FIRST_CHECKPOINT_SECONDS", 0)
    with opened() as left:
        left.sign("one")
        left.begin(offer(), resumed=False)
        left.write_at(0, CONTENT[:50_000])
        assert left.checkpoint()
    return left.path


def test_noted_bytes_are_kept_and_others_are_fetched_again(noted: Path) -> None:
    with opened() as left:
        left.write_at(90_000, CONTENT[90_000:])
    with opened() as left:
        assert (left.spans(), left.version, left.claim) == ([(0, 50_000)], offer().version, "one")
        assert noted.read_bytes()[:50_000] == CONTENT[:50_000]


@pytest.mark.parametrize("step", ["ftruncate", "fdatasync", "replace"])
def test_no_note_outlives_the_bytes_it_names(noted: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def die(*_: object) -> Never:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed), opened() as left:
        patched.setattr(os, step, die)
        left.begin(offer('"two"'), resumed=False)
    with opened() as left:
        for start, end in left.spans():
            assert left.version == offer().version
            assert noted.read_bytes()[start:end] == CONTENT[start:end]


def test_only_more_bytes_than_before_count_as_progress(noted: Path) -> None:
    with opened() as left:
        left.begin(offer('"two"'), resumed=False)
        left.write_at(0, CONTENT[:40_000])
        assert not left.checkpoint()
        left.write_at(40_000, CONTENT[40_000:60_000])
        assert left.checkpoint()
        assert not left.checkpoint()  # nothing came


def test_writing_notes_does_not_block_writers(noted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened() as left:
        left.begin(offer(), resumed=True)
        left.write_at(50_000, CONTENT[50_000:60_000])

        def write_meanwhile(_descriptor: int) -> None:
            writer = threading.Thread(target=left.write_at, args=[60_000, CONTENT[60_000:]])
            writer.start()
            writer.join(30)
            assert not writer.is_alive()

        monkeypatch.setattr(os, "fdatasync", write_meanwhile)
        assert left.checkpoint()
        assert left.spans() == [(0, len(CONTENT))]
    with opened() as left:
        assert left.spans() == [(0, 60_000)]  # what came meanwhile may not be on disk


def test_only_one_process_opens_a_partial_file(noted: Path) -> None:
    with opened(), pytest.raises(Busy):
        opened()
    with opened():
        pass


def test_a_file_that_its_holder_removes_before_unlocking_it_is_made_anew(
    noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock

    def remove_first(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        noted.unlink()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with opened() as left, left.staging() as staging:
        assert os.path.samestat(noted.stat(), os.fstat(staging.descriptor))


def test_nothing_is_left_of_one_that_is_discarded(noted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened() as left:
        monkeypatch.setattr(os, "replace", lambda *_: os.open(settings.spool_dir / "missing", os.O_RDONLY))
        with pytest.raises(FileNotFoundError):
            left.begin(offer(), resumed=False)
        assert len(list(settings.spool_dir.iterdir())) == 3  # with a draft of the notes
        left.discard()
    assert not list(settings.spool_dir.iterdir())


def test_a_full_disk_is_reported_by_the_fetch_and_not_by_its_signature(
    noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> Never:
        raise OSError(28, "No space left on device")

    with opened() as left:
        monkeypatch.setattr(Path, "write_text", full)
        left.sign("two")
        with pytest.raises(StorageFull):
            left.begin(offer(), resumed=False)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": {}, "spans": [1], "most": 0}'])
def test_unreadable_notes_are_ignored(noted: Path, text: str) -> None:
    noted.with_name(f"{noted.name}.spans").write_text(text)
    with opened() as left:
        assert (left.spans(), left.version, left.claim) == ([], None, None)


def test_left_lists_the_files_without_their_notes(noted: Path) -> None:
    (settings.spool_dir / "fetch-odd").touch()
    assert list(partial_file.left(settings.spool_dir)) == [("transfer", "ab1")]
