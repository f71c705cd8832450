"""Several files in one zip."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from vimeo_api.core.clock import now
from vimeo_api.core.files import archives
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.extensions import blobs

NAMES = {
    "a.txt": "a.txt",
    "folder/sub/a.txt": "folder/sub/a.txt",
    "../../etc/passwd": "etc/passwd",
    "/absolute.txt": "absolute.txt",
    "C:\\Windows\\system.ini": "C_/Windows/system.ini",
    "..": "file",
    "": "file",
    "a/./b/../c.txt": "a/b/c.txt",
    "отчёт.xls": "отчёт.xls",
    "CON": "_CON",
    "nul.txt": "_nul.txt",
    "lpt1.tar.gz": "_lpt1.tar.gz",
    "COM¹": "_COM¹",
    "aux /x": "_aux/x",
    "console.log": "console.log",
    "ends. .": "ends",
    "...": "_",
    'a<b>c:d"e|f?g*h': "a_b_c_d_e_f_g_h",
    "new\nline\x00.txt": "newline.txt",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_relative_path_that_every_system_can_unpack(name: str) -> None:
    assert list(archives.entry_names([name])) == [NAMES[name]]


def test_no_two_names_are_the_same_in_any_case() -> None:
    names = ["a.txt", "A.TXT", "a (1).txt", "a.txt", "dir/x", "dir", "Dir", ".profile", ".profile"]
    made = [
        "a.txt",
        "A (1).TXT",
        "a (1) (1).txt",
        "a (2).txt",
        "dir/x",
        "dir (1)",
        "Dir (2)",
        ".profile",
        ".profile (1)",
    ]
    assert list(archives.entry_names(names)) == made


@pytest.mark.parametrize("name", ["x" * 300 + ".txt", "ж" * 300 + ".txt", "a." + "x" * 253, "con." + "x" * 251])
def test_no_name_is_too_long_to_be_unpacked(name: str) -> None:
    made = list(archives.entry_names([name] * 12))
    assert max(len(one.encode()) for one in made) <= 255
    assert len(set(made)) == 12


@pytest.fixture
def staged(app: Flask) -> Callable[[bytes], Staging]:
    def stage(content: bytes) -> Staging:
        staging = blobs.stage()
        staging.write(content)
        return staging

    del app
    return stage


def test_it_is_a_zip_that_is_no_larger_than_was_said(staged: Callable[[bytes], Staging], tmp_path: Path) -> None:
    files = [("a.txt", b"content"), ("ordner/ü.bin", bytes(3_000_000)), ("a.txt", b"other"), ("empty", b"")]
    sources = [(name, staged(content)) for name, content in files]
    with staged(b"") as staging:
        archives.write(staging, sources, now())
        assert staging.size <= archives.largest(sources)
        made = tmp_path / "files.zip"
        made.write_bytes(staging.path.read_bytes())
    with zipfile.ZipFile(made) as archive:
        assert archive.testzip() is None
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.getinfo("ordner/ü.bin").flag_bits & 0x800
    assert entries == {"a.txt": b"content", "ordner/ü.bin": bytes(3_000_000), "a (1).txt": b"other", "empty": b""}


def test_a_file_that_needs_it_gets_zip64(
    staged: Callable[[bytes], Staging], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)  # instead of 2 GiB
    sources = [("large", staged(bytes(5000))), ("small", staged(b"x"))]
    with staged(b"") as staging:
        archives.write(staging, sources, now())
        assert staging.size <= archives.largest(sources)
        (tmp_path / "files.zip").write_bytes(staging.path.read_bytes())
    with zipfile.ZipFile(tmp_path / "files.zip") as archive:
        assert (archive.testzip(), archive.read("large")) == (None, bytes(5000))
