"""`manage.py fetch`: all or nothing from a misbehaving origin, with clear messages."""

import os
import re
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.commands.fetching import COMMAND, CONTENT, SLOW, done, names, run
from tests.commands.running import refused
from tests.origin import Origin, Page


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        (Page(CONTENT, statuses=[404]), "127.0.0.1 answers 404"),
        (Page(CONTENT, headers={"Content-Encoding": "deflate"}), "compresses"),
        (Page(CONTENT, changes_after=2), "changed the file"),
        (Page(CONTENT, ranges="late"), "sends another part"),
        (Page(CONTENT, framing="close", ranges="no"), "does not say how long"),
        (Page(location="/file"), "redirects more than 20 times"),
        (Page(location="file:///etc/passwd"), "Only http and https"),
        (Page(location="http://169.254.169.254/secrets"), "link-local"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_of_the_origin_gets_a_clear_sentence_and_leaves_nothing_behind(
    origin: Origin, folder: Path, page: Page, sentence: str
) -> None:
    refused(run(origin.serve("/file", page)), sentence)
    assert names(folder) == []


@pytest.mark.parametrize("resumable", [[], ["--continue"]])
def test_a_wrong_digest_leaves_nothing_behind(origin: Origin, folder: Path, resumable: list[str]) -> None:
    url = origin.serve("/file", Page(CONTENT))
    refused(run(url, "--sha256", "0" * 64, *resumable), "The file has a different SHA-256")
    assert names(folder) == []


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_file_that_is_too_large_is_refused(origin: Origin, folder: Path, framing: Any) -> None:
    url = origin.serve("/file", Page(CONTENT, framing=framing, ranges="no"))
    refused(run(url, "--max-bytes", len(CONTENT) - 1), "larger than 2097151 bytes")
    assert names(folder) == []
    done(run(url, "--max-bytes", "2M"))


def test_it_fails_when_its_time_is_up(origin: Origin, folder: Path) -> None:
    url = origin.serve("/file", Page(CONTENT, throttle=SLOW))
    refused(run(url, "--max-time", "0.3"), "takes longer than 0.3 seconds")
    assert names(folder) == []


def test_private_addresses_are_refused_for_urls_of_others(origin: Origin, folder: Path) -> None:
    url = origin.serve("/file", Page(CONTENT))
    refused(run(url, "--public-only"), "127.0.0.1 is or leads to a loopback address")
    refused(run(origin.url("/file", host="localhost"), "--public-only"), "leads to a loopback address")
    assert (origin.requests, names(folder)) == ([], [])
    done(run(url, "--allow-private"))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["http://user:hunter2@{}/file"], 1),
        (["http://{}/missing?password=hunter2"], 1),
        (["http://{}/file?password=hunter2", "--sha256", "0" * 64], 1),
        (["file:///hunter2"], 1),
        (["http://{}/hunter2\udcff"], 1),
        (["http://{}/file", "http://user:hunter2@{}/file"], 2),
        (["http://{}/file", "here", "http://user:hunter2@{}/file"], 2),
        (["http://{}/file", "--sha256", "http://user:hunter2@{}/file"], 2),
    ],
)
def test_no_password_in_a_url_is_printed(origin: Origin, folder: Path, arguments: list[str], code: int) -> None:
    origin.serve("/file", Page(CONTENT))
    result = run(*[argument.replace("{}", f"127.0.0.1:{origin.port}") for argument in arguments])
    refused(result, "", code=code)
    assert "hunter2" not in result.output
    assert names(folder) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--connections", "0"],
        ["--connections", "17"],
        ["--max-bytes", "0"],
        ["--max-bytes", "1025T"],
        ["--max-time", "0"],
        ["--sha256", "abc"],
        ["--frobnicate"],
    ],
)
def test_wrong_arguments_exit_with_2(origin: Origin, folder: Path, arguments: list[str]) -> None:
    url = [origin.serve("/file", Page(CONTENT))] if arguments else []
    refused(run(*url, *arguments), "", code=2)
    assert names(folder) == []


def test_a_full_disk_gets_a_clear_sentence_and_leaves_nothing_behind(origin: Origin, folder: Path) -> None:
    ended = subprocess.run(
        [*COMMAND, origin.serve("/file", Page(CONTENT))],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"Error: There is no room in \S+: .+\.\n", ended.stderr), ended.stderr
    assert names(folder) == []


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_target_created_meanwhile_is_kept_unless_forced(
    origin: Origin, folder: Path, monkeypatch: pytest.MonkeyPatch, force: list[str]
) -> None:
    fsync, hardlink_to = os.fsync, Path.hardlink_to

    def appearing(self: Path, target: Path) -> None:
        self.write_bytes(b"theirs")
        hardlink_to(self, target)

    def appearing_early(descriptor: int) -> None:
        (folder / "file").write_bytes(b"theirs")
        monkeypatch.setattr(os, "fsync", fsync)

    if force:
        monkeypatch.setattr(os, "fsync", appearing_early)
    monkeypatch.setattr(Path, "hardlink_to", appearing)
    result = run(origin.serve("/file", Page(CONTENT)), *force)
    if force:
        done(result)
    else:
        refused(result, "file has appeared meanwhile; --force replaces it")
    assert (folder / "file").read_bytes() == (CONTENT if force else b"theirs")
    assert names(folder) == ["file"]
