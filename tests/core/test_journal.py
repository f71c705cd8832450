"""How the journal is read: each line once, whatever rotation, crashes and full disks do."""

import errno
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytest
from flask import Flask

from tests.core.journals import write
from tests.mounts import mounting
from tests.services import ROOT
from vimeo_api.core.deliveries import confirmations, journal


def test_a_filesystem_without_fallocate_is_refused(log: Path, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.check_allocation(log)
    monkeypatch.setattr(journal, "_allocate", partial(_fail, errno.EOPNOTSUPP))
    with pytest.raises(OSError, match="not supported"):
        journal.check_allocation(log)
    monkeypatch.setattr(journal, "_allocate", partial(_fail, errno.ENOSPC))
    journal.check_allocation(log)


def _fail(number: int, *_: object) -> None:
    raise OSError(number, os.strerror(number))


def test_no_line_is_lost_when_the_disk_fills_up(tmp_path: Path) -> None:
    script = """
set -e
mount -t tmpfs -o size=16m tmpfs "$1"
exec "$2" - "$1" <<'END'
import errno, os, sys
from pathlib import Path
from vimeo_api.core.deliveries import journal
from vimeo_api.core.errors import Unavailable
log, ballast = Path(sys.argv[1], "deliveries.log"), Path(sys.argv[1], "ballast")
log.write_text("first\\n")
journal.check_writable(log)
assert log.read_text() == "first\\n"
with ballast.open("wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError as error:
        assert error.errno == errno.ENOSPC
lines = 0
with log.open("ab", buffering=0) as file:
    while True:
        try:
            journal.check_writable(log)
        except Unavailable:
            break
        for _ in range(1000):
            assert file.write(bytes(300)) == 300
        lines += 1000
    for _ in range(1000):  # of the downloads that had begun
        assert file.write(bytes(300)) == 300
assert lines > 5000, lines
ballast.unlink()
journal.check_writable(log)
END
"""
    (tmp_path / "disk").mkdir()
    command = mounting(script, str(tmp_path / "disk"), sys.executable)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_lines_are_handled_once_across_rotation(log: Path, app: Flask) -> None:
    seen: list[str] = []

    def handle(lines: journal.Lines) -> None:
        seen.extend(str(line["ticket"]) for line in lines)

    write(log, "1")
    journal.read_new(log, handle)
    write(log, "2")
    log.rename(log.with_name("deliveries.log.1"))
    with log.with_name("deliveries.log.1").open("a") as old:
        old.write('{"ticket": "3"}\n{"ticket": "4"')  # nginx has not reopened yet, and is in the middle of a line
    journal.read_new(log, handle)
    write(log, "5")
    with log.with_name("deliveries.log.1").open("a") as old:
        old.write("}\n")
    assert journal.lag(log) > 0
    journal.read_new(log, handle)
    journal.read_new(log, handle)
    assert sorted(seen) == ["1", "2", "3", "4", "5"]
    assert journal.lag(log) == 0


def test_a_file_rotated_while_opened_is_not_confused_with_its_successor(
    log: Path, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def handle(lines: journal.Lines) -> None:
        seen.extend(str(line["ticket"]) for line in lines)

    write(log, "1")
    write(log, "2")
    with monkeypatch.context() as patch:
        opening = Path.open

        def rotated(self: Path, mode: str) -> IO[Any]:
            file = opening(self, mode)
            patch.undo()
            log.rename(log.with_name("deliveries.log.1"))
            write(log, "3")
            return file

        patch.setattr(Path, "open", rotated)
        journal.read_new(log, handle)
    journal.read_new(log, handle)
    assert sorted(seen) == ["1", "2", "3"]


def test_the_offset_is_saved_after_each_batch(log: Path, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "BATCH", 100)
    for number in range(20):
        write(log, str(number))
    calls: list[int] = []

    def handle(lines: journal.Lines) -> None:
        calls.append(len(lines))
        if len(calls) == 5:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        journal.read_new(log, handle)
    done = sum(calls[:4])
    journal.read_new(log, handle)
    assert sum(calls[5:]) == 20 - done


def test_an_error_leaves_the_lines_for_the_next_reader(log: Path, app: Flask) -> None:
    write(log, "1")

    def fail(_lines: journal.Lines) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        journal.read_new(log, fail)
    seen: journal.Lines = []
    journal.read_new(log, seen.extend)
    assert len(seen) == 1


def test_a_missing_or_empty_journal_is_no_error(log: Path, app: Flask) -> None:
    confirmations.catch_up()
    log.touch()
    confirmations.catch_up()
