"""Resumable files: the bytes that the notes name are on disk, whatever happened before."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vimeo_api.core.fetching.client import Fetched, Version
from vimeo_api.core.fetching.partial_file import Busy, ResumableFile

OFFER = Fetched("http://example.org/file", "file", Version(10, '"one"', None))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.fixture
def begun(path: Path) -> Iterator[ResumableFile]:
    """A file of ten bytes of which the last four are there and noted."""
    with ResumableFile(path) as file:
        file.begin(OFFER, resumed=False)
        file.write_at(6, b"6789")
        file.note()
        yield file


@pytest.fixture
def left(begun: ResumableFile, tmp_path: Path) -> Path:
    """What another process finds when the one that began has been killed."""
    copy = tmp_path / "left"
    copy.write_bytes(begun.path.read_bytes())
    copy.with_name("left.spans").write_bytes(begun.path.with_name("file.spans").read_bytes())
    return copy


def test_the_next_process_knows_what_is_there(left: Path) -> None:
    with ResumableFile(left) as file:
        assert (file.version, file.spans()) == (OFFER.version, [(6, 10)])
        file.begin(OFFER, resumed=True)
        file.write_at(0, b"012345")
        assert file.spans() == [(0, 10)]
        with file.staging() as staging:
            assert staging.path.read_bytes() == b"0123456789"


def test_another_version_begins_with_nothing(left: Path) -> None:
    with ResumableFile(left) as file:
        file.begin(OFFER, resumed=False)
        assert (file.spans(), left.read_bytes()) == ([], bytes(10))


def test_bytes_are_durable_before_they_are_noted(begun: ResumableFile, monkeypatch: pytest.MonkeyPatch) -> None:
    fdatasync, notes = os.fdatasync, begun.path.with_name("file.spans")

    def meanwhile(descriptor: int) -> None:
        fdatasync(descriptor)
        begun.write_at(2, b"23")  # by another thread, and too late for this note

    monkeypatch.setattr(os, "fdatasync", meanwhile)
    begun.write_at(0, b"01")
    begun.note()
    assert '"spans": [[0, 2], [6, 10]]' in notes.read_text()


@pytest.mark.parametrize("size", [0, 9])
def test_notes_about_bytes_that_are_gone_are_not_believed(left: Path, size: int) -> None:
    os.truncate(left, size)
    with ResumableFile(left) as file:
        assert (file.version, file.spans()) == (None, [])


@pytest.mark.parametrize(
    "notes", ["", "[]", "{}", '{"version": null, "spans": [[0, 3]]}', '{"version": {}, "spans": [3]}']
)
def test_unreadable_notes_of_a_resumable_fetch_are_ignored(left: Path, notes: str) -> None:
    left.with_name("left.spans").write_text(notes)
    with ResumableFile(left) as file:
        assert (file.version, file.spans()) == (None, [])


def test_two_processes_do_not_write_it_at_once(begun: ResumableFile) -> None:
    with pytest.raises(Busy):
        ResumableFile(begun.path)
    assert begun.spans() == [(6, 10)]


def test_discarding_it_leaves_nothing_behind(begun: ResumableFile, tmp_path: Path) -> None:
    begun.path.with_name("file.spans.new").touch()  # a crash while it noted
    begun.discard()
    assert list(tmp_path.iterdir()) == []
