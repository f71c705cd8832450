"""`manage.py fetch`: the right bytes under the right name, and a progress bar on a terminal."""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.commands.fetching import COMMAND, CONTENT, DIGEST, SLOW, done, names, run
from tests.commands.running import on_a_terminal, refused
from tests.origin import Origin, Page


def test_it_needs_no_settings_and_is_quiet_when_piped(origin: Origin, folder: Path) -> None:
    url = origin.serve("/some/report.xls", Page(CONTENT)) + "?token=secret"
    environ = {"PROFILE": "nonsense", "DATABASE_URL": "nowhere", "HTTP_PROXY": "http://127.0.0.1:1"}
    ended = subprocess.run([*COMMAND, url], env=environ, cwd=folder, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert (folder / "report.xls").read_bytes() == CONTENT
    assert names(folder) == ["report.xls"]
    assert len(set(origin.asked("Range"))) >= 8


def test_on_a_terminal_a_bar_says_name_bytes_rate_and_time_left(origin: Origin, folder: Path) -> None:
    url = origin.serve("/report.xls", Page(CONTENT, throttle=1_000_000))
    code, shown, error = on_a_terminal([*COMMAND, url], cwd=folder)
    assert (code, error) == (0, b"")
    assert re.search(rb"report\.xls: 100%.*2\.00M/2\.00M \[\d\d:\d\d<\d\d:\d\d, .*B/s", shown), shown
    assert re.search(rb"report\.xls: +\d?\d%.*[0-9.]+[kM]?/2\.00M \[", shown), shown


def test_the_bar_works_without_a_size(origin: Origin, folder: Path) -> None:
    url = origin.serve("/report.xls", Page(CONTENT, framing="chunked", ranges="no"))
    code, shown, error = on_a_terminal([*COMMAND, url], cwd=folder)
    assert (code, error) == (0, b"")
    assert re.search(rb"report\.xls: 2\.00MB? \[\d\d:\d\d, .*B/s", shown), shown


@pytest.mark.parametrize(
    "page",
    [
        Page(CONTENT),
        Page(CONTENT, ranges="no"),
        Page(CONTENT, ranges="first"),
        Page(CONTENT, ranges="short"),
        Page(CONTENT, ranges="no", framing="chunked"),
        Page(CONTENT, etag=None, break_after=500_000, breaks=2),
        Page(CONTENT, break_after=100_000, breaks=3),
        Page(CONTENT, statuses=[503]),
        Page(CONTENT, at_most=2),
        Page(b""),
        Page(b"x"),
    ],
    ids=str,
)
@pytest.mark.parametrize("connections", [[], ["--connections", 1]], ids=["default", "one"])
def test_the_file_has_the_right_bytes(origin: Origin, folder: Path, page: Page, connections: list[Any]) -> None:
    done(run(origin.serve("/file", page), *connections))
    assert (folder / "file").read_bytes() == page.content
    assert names(folder) == ["file"]


def test_it_opens_no_more_connections_than_allowed(origin: Origin, folder: Path) -> None:
    done(run(origin.serve("/file", Page(CONTENT, throttle=1_000_000)), "--connections", 3))
    assert 1 < origin.busiest <= 3


def test_the_target_may_be_a_file_or_a_folder(origin: Origin, folder: Path) -> None:
    (folder / "sub").mkdir()
    url = origin.serve("/file", Page(CONTENT, headers={"Content-Disposition": 'attachment; filename="report.xls"'}))
    done(run(url, "sub"))
    done(run(url, "sub/other"))
    done(run(url, folder / "here"))
    assert (names(folder), names(folder / "sub")) == (["here", "sub"], ["other", "report.xls"])
    assert {path.read_bytes() for path in folder.rglob("*[re]*") if path.is_file()} == {CONTENT}


@pytest.mark.parametrize(
    ("suggested", "name"), [("../../up.txt", "up.txt"), (".bashrc", "_bashrc"), ("..", "file"), ("a\x01b", "ab")]
)
def test_a_name_suggested_by_the_origin_is_made_safe(origin: Origin, folder: Path, suggested: str, name: str) -> None:
    (folder / "sub").mkdir()
    page = Page(CONTENT, headers={"Content-Disposition": f'attachment; filename="{suggested}"'})
    done(run(origin.serve("/x", page), "sub"))
    assert (names(folder), names(folder / "sub")) == (["sub"], [name])


def test_a_compressed_response_is_kept_compressed_and_its_name_says_so(origin: Origin, folder: Path) -> None:
    page = Page(CONTENT, headers={"Content-Encoding": "x-gzip"})
    done(run(origin.serve("/a.tar.gz", page)))
    done(run(origin.serve("/a.csv", page)))
    assert names(folder) == ["a.csv.gz", "a.tar.gz"]
    assert {path.read_bytes() for path in folder.iterdir()} == {CONTENT}


def test_a_body_without_a_length_needs_a_digest(origin: Origin, folder: Path) -> None:
    url = origin.serve("/file", Page(CONTENT, framing="close", ranges="no"))
    refused(run(url), "does not say how long the file is")
    done(run(url, "--sha256", DIGEST))
    assert (folder / "file").read_bytes() == CONTENT


def test_the_file_mode_follows_the_umask(origin: Origin, folder: Path) -> None:
    before = os.umask(0o027)
    try:
        done(run(origin.serve("/file", Page(CONTENT))))
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "file").stat().st_mode) == 0o640
    assert (folder / "file").stat().st_nlink == 1


@pytest.mark.parametrize("target", [[], ["file"]], ids=["named by the origin", "named"])
def test_it_overwrites_only_with_force_and_says_so_before_the_first_byte(
    origin: Origin, folder: Path, target: list[str]
) -> None:
    (folder / "file").write_bytes(b"old")
    url = origin.serve("/file", Page(CONTENT, throttle=SLOW))
    refused(run(url, *target), "file already exists; --force replaces it")
    assert (folder / "file").read_bytes() == b"old"
    assert len(origin.requests) <= 1
    origin.pages["/file"].throttle = None
    done(run(url, *target, "--force"))
    assert (folder / "file").read_bytes() == CONTENT
    assert names(folder) == ["file"]


def test_only_regular_files_are_replaced(origin: Origin, folder: Path) -> None:
    os.mkfifo(folder / "file")
    refused(run(origin.serve("/file", Page(CONTENT)), "--force"), "file already exists and is not a regular file")
    refused(run(origin.url("/file"), "nowhere/file"), "Cannot write to .*nowhere: No such file")
    assert names(folder) == ["file"]


@pytest.mark.parametrize("digest", [DIGEST, DIGEST.upper()])
def test_it_keeps_an_existing_file_with_the_right_digest(origin: Origin, folder: Path, digest: str) -> None:
    done(run(origin.serve("/file", Page(CONTENT)), "--sha256", digest))
    assert names(folder) == ["file"]


def test_it_is_durable_before_it_has_its_name(origin: Origin, folder: Path, steps: list[tuple[str, Path]]) -> None:
    done(run(origin.serve("/file", Page(CONTENT))))
    order = ", ".join(f"{step} {path.name}" for step, path in steps)
    assert re.fullmatch(rf"fsync \.fetch-\w+, link file, fsync {re.escape(folder.name)}", order), order
