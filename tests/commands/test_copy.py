"""`manage.py copy`: all or nothing, with clear messages and a progress bar on a terminal."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.commands.running import invoked, on_a_terminal, refused
from tests.services import ROOT
from vimeo_api.core.storage.writer import CHUNK

CONTENT = bytes(range(256)) * 8192 + b"end"  # two chunks and a bit
COMMAND = [sys.executable, str(ROOT / "manage.py"), "copy"]
run = partial(invoked, "copy")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def test_it_needs_no_settings_and_is_quiet_when_piped(source: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [*COMMAND, source, tmp_path / "copy", "--threads", "3", "--chunk", "64K"],
        env={"PROFILE": "nonsense", "DATABASE_URL": "nowhere"},
        cwd=tmp_path / "empty",
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (tmp_path / "copy").read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "empty", "source"]
    assert list((tmp_path / "empty").iterdir()) == []


def test_on_a_terminal_a_bar_says_bytes_rate_and_time_left(source: Path, tmp_path: Path) -> None:
    code, shown, error = on_a_terminal([*COMMAND, source, tmp_path / "copy"])
    assert (code, error) == (0, b"")
    assert re.search(rb"100%.*2\.00M/2\.00M \[\d\d:\d\d<\d\d:\d\d, .*B/s", shown), shown


@pytest.mark.parametrize("arguments", [[], ["--threads", 1], ["--threads", 8, "--chunk", 1000], ["--chunk", "1gib"]])
@pytest.mark.parametrize("size", [0, 1, CHUNK, len(CONTENT)])
def test_the_copy_has_the_same_bytes_and_mode(source: Path, tmp_path: Path, size: int, arguments: list[object]) -> None:
    os.truncate(source, size)
    source.chmod(0o440)
    result = run(source, tmp_path / "copy", *arguments)
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "copy").read_bytes() == CONTENT[:size]
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o440
    assert (tmp_path / "copy").stat().st_nlink == 1


def test_it_copies_into_a_folder(source: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert run(source, tmp_path / "folder").exit_code == 0
    assert (tmp_path / "folder" / "source").read_bytes() == CONTENT


def test_it_overwrites_only_with_force(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    target.write_bytes(b"old")
    (tmp_path / "link").symlink_to(target)
    for name in ("copy", "link"):
        refused(run(source, tmp_path / name), "already exists; --force replaces it")
        assert target.read_bytes() == b"old"
    assert run(source, tmp_path / "link", "--force").exit_code == 0
    assert target.read_bytes() == CONTENT
    assert (tmp_path / "link").is_symlink()
    assert run(target, target, "--force").exit_code == 0
    assert target.read_bytes() == CONTENT


def test_anything_but_a_regular_file_is_refused(source: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(run(tmp_path / "pipe", tmp_path / "copy"), "pipe is not a regular file")
    refused(run(tmp_path, tmp_path / "copy"), "is not a regular file")
    refused(run(source, tmp_path / "pipe", "--force"), "pipe already exists and is not a regular file")
    refused(run(tmp_path / "missing", tmp_path / "copy"), "missing cannot be copied to .*: No such file")
    refused(run(source, tmp_path / "nowhere" / "copy"), "source cannot be copied to .*: No such file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pipe", "source"]


@pytest.mark.parametrize(
    "arguments",
    [["--chunk", "0"], ["--chunk", "2G"], ["--chunk", "many"], ["--threads", "0"], ["--threads", "65"], ["x"]],
)
def test_wrong_arguments_exit_with_2(source: Path, tmp_path: Path, arguments: list[str]) -> None:
    refused(run(source, tmp_path / "copy", *arguments), "", code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupt_leaves_nothing_behind(source: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    os.truncate(source, 256 * 1024**2)
    with subprocess.Popen(
        [*COMMAND, source, tmp_path / "copy", "--chunk", "1"],  # which takes minutes
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        _until_it_copies(tmp_path)
        process.send_signal(number)
        output, error = process.communicate(timeout=60)
    assert (process.returncode, output, error.strip()) == (code, b"", b"Aborted!")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_several_interrupts_leave_nothing_behind(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)

    def interrupted_unlink(self: Path, *, missing_ok: bool = False) -> None:
        interrupt()
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(os, "fsync", lambda _: interrupt())
    monkeypatch.setattr(Path, "unlink", interrupted_unlink)
    assert run(source, tmp_path / "copy").exit_code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_an_interrupt_once_the_file_has_its_name_is_ignored(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = Path.hardlink_to

    def interrupted(self: Path, target: Path) -> None:
        link(self, target)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Path, "hardlink_to", interrupted)
    assert run(source, tmp_path / "copy").exit_code == 0
    assert (tmp_path / "copy").read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "source"]


def test_under_nohup_it_continues_when_the_terminal_closes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, before = os.fsync, signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def closing(descriptor: int) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", closing)
    try:
        assert run(source, tmp_path / "copy").exit_code == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_source_that_shrinks_is_reported_once_and_leaves_nothing_behind(source: Path, tmp_path: Path) -> None:
    os.truncate(source, 256 * 1024**2)
    with subprocess.Popen([*COMMAND, source, tmp_path / "copy", "--chunk", "1"], stderr=subprocess.PIPE) as process:
        _until_it_copies(tmp_path)
        os.truncate(source, 1)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.fullmatch(rb"Error: \S+ cannot be copied to \S+: the source ends at or before byte \d+\.\n", error), error
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def _until_it_copies(folder: Path) -> None:
    """Wait until the temporary file is there and reserved."""
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in folder.glob(".copy-*")):
        assert time.monotonic() < deadline
        os.sched_yield()


def test_a_source_that_changes_is_an_error(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preadv = os.preadv

    def changing(file: int, buffers: list[memoryview], at: int) -> int:
        with source.open("ab") as growing:
            growing.write(b"more")
        return preadv(file, buffers, at)

    monkeypatch.setattr(os, "preadv", changing)
    refused(run(source, tmp_path / "copy"), "source changed while it was being copied")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_target_created_meanwhile_is_kept_unless_forced(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: list[str]
) -> None:
    target, fsync = tmp_path / "copy", os.fsync

    def appearing(descriptor: int) -> None:
        target.write_bytes(b"theirs")
        monkeypatch.setattr(os, "fsync", fsync)

    monkeypatch.setattr(os, "fsync", appearing)
    result = run(source, target, *force)
    if force:
        assert (result.exit_code, target.read_bytes()) == (0, CONTENT)
    else:
        refused(result, "copy has appeared meanwhile; --force replaces it")
        assert target.read_bytes() == b"theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "source"]


def test_it_works_on_a_filesystem_without_hard_links(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", unable)
    assert run(source, tmp_path / "copy").exit_code == 0
    assert (tmp_path / "copy").read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "source"]


def test_a_full_disk_gets_a_clear_sentence_and_leaves_nothing_behind(source: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, source, tmp_path / "copy"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"Error: There is no room for \S+: .+\.\n", done.stderr), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_it_is_durable_before_it_has_its_name(source: Path, tmp_path: Path, steps: list[tuple[str, Path]]) -> None:
    assert run(source, tmp_path / "copy").exit_code == 0
    order = ", ".join(f"{step} {path.name}" for step, path in steps)
    assert re.fullmatch(rf"fsync \.copy-\w+, link copy, fsync {re.escape(tmp_path.name)}", order), order
