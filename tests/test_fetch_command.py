"""`manage.py fetch`: all or nothing from an origin that misbehaves, in sentences, and for people a bar."""

import hashlib
import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.origin import Origin, Page, noise
from tests.services import ROOT, await_
from tests.terminal import on_a_terminal
from vimeo_api.cli import cli
from vimeo_api.core.partial import ResumableFile

CONTENT = noise(2 * 1024**2)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMMAND = [sys.executable, str(ROOT / "manage.py"), "fetch"]
SLOW = 100_000  # bytes per second and connection: minutes for the whole


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["fetch", *map(str, arguments)])


def done(result: Result) -> None:
    assert (result.exit_code, result.output) == (0, ""), result.exception


def refused(result: Result, sentence: str, *, code: int = 1) -> None:
    assert (result.exit_code, result.stdout) == (code, "")
    assert re.search(f"^Error: .*{sentence}", result.stderr, re.MULTILINE), result.stderr
    assert "Traceback" not in result.stderr


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def left(folder: Path) -> list[Path]:
    """The files of fetches that are going on or may be continued, without their notes."""
    return [path for path in folder.glob(".fetch-*") if "." not in path.name[1:]]


# What works


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


def test_the_bar_does_without_a_size(origin: Origin, folder: Path) -> None:
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


def test_it_asks_over_no_more_connections_than_it_is_told(origin: Origin, folder: Path) -> None:
    done(run(origin.serve("/file", Page(CONTENT, throttle=1_000_000)), "--connections", 3))
    assert 1 < origin.busiest <= 3


def test_dst_is_a_file_or_a_folder(origin: Origin, folder: Path) -> None:
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
def test_a_name_that_an_origin_suggests_does_no_harm(origin: Origin, folder: Path, suggested: str, name: str) -> None:
    (folder / "sub").mkdir()
    page = Page(CONTENT, headers={"Content-Disposition": f'attachment; filename="{suggested}"'})
    done(run(origin.serve("/x", page), "sub"))
    assert (names(folder), names(folder / "sub")) == (["sub"], [name])


def test_its_mode_is_what_the_umask_allows(origin: Origin, folder: Path) -> None:
    before = os.umask(0o027)
    try:
        done(run(origin.serve("/file", Page(CONTENT))))
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "file").stat().st_mode) == 0o640
    assert (folder / "file").stat().st_nlink == 1


@pytest.mark.parametrize("target", [[], ["file"]], ids=["named by the origin", "named"])
def test_it_overwrites_only_by_force_and_says_so_before_the_first_byte(
    origin: Origin, folder: Path, target: list[str]
) -> None:
    (folder / "file").write_bytes(b"old")
    url = origin.serve("/file", Page(CONTENT, throttle=SLOW))
    refused(run(url, *target), "file is there already; --force replaces it")
    assert (folder / "file").read_bytes() == b"old"
    assert len(origin.requests) <= 1
    origin.pages["/file"].throttle = None
    done(run(url, *target, "--force"))
    assert (folder / "file").read_bytes() == CONTENT
    assert names(folder) == ["file"]


def test_what_is_no_file_is_never_replaced(origin: Origin, folder: Path) -> None:
    os.mkfifo(folder / "file")
    refused(run(origin.serve("/file", Page(CONTENT)), "--force"), "file is there already and no regular file")
    refused(run(origin.url("/file"), "nowhere/file"), "Nothing can be written into .*nowhere: No such file")
    assert names(folder) == ["file"]


@pytest.mark.parametrize("digest", [DIGEST, DIGEST.upper()])
def test_it_keeps_a_file_of_the_right_digest(origin: Origin, folder: Path, digest: str) -> None:
    done(run(origin.serve("/file", Page(CONTENT)), "--sha256", digest))
    assert names(folder) == ["file"]


def test_it_is_durable_before_it_has_its_name(origin: Origin, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, link = os.fsync, Path.hardlink_to

    def noted_fsync(descriptor: int) -> None:
        calls.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def noted_link(self: Path, target: Path) -> None:
        calls.append(f"link {self.name}")
        link(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "hardlink_to", noted_link)
    done(run(origin.serve("/file", Page(CONTENT))))
    assert re.fullmatch(rf"fsync \.fetch-\w+, link file, fsync {re.escape(folder.name)}", ", ".join(calls)), calls


# What does not


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        (Page(CONTENT, statuses=[404]), "127.0.0.1 answers 404"),
        (Page(CONTENT, headers={"Content-Encoding": "gzip"}), "compresses"),
        (Page(CONTENT, changes_after=2), "changed the file"),
        (Page(CONTENT, ranges="late"), "sends another part"),
        (Page(CONTENT, framing="close", ranges="no"), "does not say how long"),
        (Page(location="/file"), "redirects more than 5 times"),
        (Page(location="file:///etc/passwd"), "Only http and https"),
        (Page(location="http://169.254.169.254/secrets"), "link-local"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_of_the_origin_is_a_sentence_and_leaves_nothing_behind(
    origin: Origin, folder: Path, page: Page, sentence: str
) -> None:
    refused(run(origin.serve("/file", page)), sentence)
    assert names(folder) == []


@pytest.mark.parametrize("resumable", [[], ["--continue"]])
def test_a_wrong_digest_leaves_nothing_behind(origin: Origin, folder: Path, resumable: list[str]) -> None:
    url = origin.serve("/file", Page(CONTENT))
    refused(run(url, "--sha256", "0" * 64, *resumable), "The bytes have another SHA-256")
    assert names(folder) == []


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_file_that_is_too_large_is_refused(origin: Origin, folder: Path, framing: Any) -> None:
    url = origin.serve("/file", Page(CONTENT, framing=framing, ranges="no"))
    refused(run(url, "--max-bytes", len(CONTENT) - 1), "larger than 2097151 bytes")
    assert names(folder) == []
    done(run(url, "--max-bytes", "2M"))


def test_it_ends_when_its_time_is_over(origin: Origin, folder: Path) -> None:
    url = origin.serve("/file", Page(CONTENT, throttle=SLOW // 10))
    refused(run(url, "--max-time", "0.3"), "takes longer than 0.3 seconds")
    assert names(folder) == []


def test_private_addresses_are_refused_when_urls_are_not_the_operators_own(origin: Origin, folder: Path) -> None:
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
def test_no_password_in_a_url_is_repeated(origin: Origin, folder: Path, arguments: list[str], code: int) -> None:
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
def test_wrong_arguments_are_exit_code_2(origin: Origin, folder: Path, arguments: list[str]) -> None:
    url = [origin.serve("/file", Page(CONTENT))] if arguments else []
    refused(run(*url, *arguments), "", code=2)
    assert names(folder) == []


def test_a_full_disk_is_a_sentence_and_leaves_nothing_behind(origin: Origin, folder: Path) -> None:
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
def test_a_target_that_appears_meanwhile_is_kept_unless_forced(
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


# What is interrupted


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("page", [Page(CONTENT, throttle=SLOW // 10), Page(CONTENT, stall_after=100_000, ranges="no")])
def test_interrupted_it_leaves_nothing_behind(
    origin: Origin, folder: Path, page: Page, number: signal.Signals, code: int
) -> None:
    process = started(origin.serve("/file", page), folder)
    process.send_signal(number)
    output, error = process.communicate(timeout=60)
    assert (process.returncode, output, error.strip()) == (code, b"", b"Aborted!")
    assert names(folder) == []


def started(url: str, folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a fetch, and return once bytes have come."""
    process = subprocess.Popen([*COMMAND, url, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    await_(lambda: any(path.stat().st_blocks and _has_bytes(path) for path in left(folder)), 60)
    return process


def _has_bytes(path: Path) -> bool:
    with path.open("rb") as file:
        return any(file.read())


def test_what_was_interrupted_is_continued_when_asked_for(origin: Origin, folder: Path) -> None:
    url = origin.serve("/file", Page(CONTENT, throttle=SLOW))
    process = started(url, folder, "--continue")
    [partial] = left(folder)
    await_(lambda: any(partial.read_bytes()[len(CONTENT) // 2 :]))  # which the probe alone would not bring
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error.strip()) == (130, b"Aborted!")
    with ResumableFile(partial) as file:
        kept = covered(file.spans())
    assert max(kept) > len(CONTENT) // 2
    assert names(folder) == [partial.name, f"{partial.name}.spans"]
    origin.requests.clear()
    origin.pages["/file"].throttle = None
    done(run(url, "--continue", "--sha256", DIGEST))
    assert (folder / "file").read_bytes() == CONTENT
    assert names(folder) == ["file"]
    assert asked_for(origin).isdisjoint(kept)


def test_what_was_killed_is_continued_from_its_last_note(origin: Origin, folder: Path) -> None:
    url = origin.serve("/file", Page(CONTENT, throttle=SLOW // 2))
    process = started(url, folder, "--continue")
    [notes] = await_(lambda: [path for path in folder.glob("*.spans") if '"spans": [[' in path.read_text()])
    process.kill()
    process.communicate()
    noted = covered(json.loads(notes.read_text())["spans"])
    origin.requests.clear()
    origin.pages["/file"].throttle = None
    done(run(url, "--continue", "--sha256", DIGEST))
    assert asked_for(origin).isdisjoint(noted)
    assert names(folder) == ["file"]


def covered(spans: Iterable[Sequence[int]]) -> set[int]:
    """Return the offsets of all bytes in the spans [start, end)."""
    return set[int]().union(*[range(start, end) for start, end in spans])


def asked_for(origin: Origin) -> set[int]:
    """Return the offsets of all bytes that were asked for, but for the probe of the whole."""
    probe, *others = [asked or "" for asked in origin.asked("Range")]
    assert probe == "bytes=0-"
    ranges = re.findall(r"(\d+)-(\d+)", " ".join(others))
    return covered((int(first), int(last) + 1) for first, last in ranges)


def test_a_failed_fetch_is_continued_too_unless_the_file_is_another_by_then(origin: Origin, folder: Path) -> None:
    url = origin.serve("/file", Page(CONTENT, throttle=SLOW))
    refused(run(url, "--continue", "--max-time", 1), "takes longer than 1 seconds")
    origin.pages["/file"] = Page(CONTENT, statuses=[404])
    refused(run(url, "--continue"), "answers 404")
    assert len(left(folder)) == 1
    other = bytes(reversed(CONTENT))
    origin.pages["/file"] = Page(other, etag='"another"')
    done(run(url, "--continue"))
    assert (folder / "file").read_bytes() == other
    assert names(folder) == ["file"]


def test_what_cannot_be_continued_is_not_kept(origin: Origin, folder: Path) -> None:
    url = origin.serve("/file", Page(CONTENT, etag=None, throttle=SLOW))
    refused(run(url, "--continue", "--max-time", 0.5), "takes longer than 0.5 seconds")
    refused(run(origin.url("/missing"), "--continue"), "answers 404")
    assert names(folder) == []


def test_all_that_came_is_used_when_only_its_name_was_taken(
    origin: Origin, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(*_: object) -> None:
        raise FileExistsError

    url = origin.serve("/file", Page(CONTENT))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "hardlink_to", taken)
        refused(run(url, "--continue"), "file has appeared meanwhile")
    origin.requests.clear()
    done(run(url, "--continue"))
    assert asked_for(origin) == set()
    assert (folder / "file").read_bytes() == CONTENT


def test_two_do_not_continue_the_same(origin: Origin, folder: Path) -> None:
    url = origin.serve("/file", Page(CONTENT, throttle=SLOW))
    process = started(url, folder, "--continue")
    refused(run(url, "--continue"), "Another process is fetching this URL into this folder")
    assert len(left(folder)) == 1
    origin.pages["/file"] = Page(CONTENT)
    done(run(url, "other"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    done(run(url, "--continue"))
    assert names(folder) == ["file", "other"]
