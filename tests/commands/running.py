"""Run commands as people do: what they print, and how it looks on a terminal."""

import os
import pty
import re
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner, Result

from vimeo_api.cli import cli


def invoked(command: str, *arguments: object) -> Result:
    """Run a command in this process, whose output is no terminal."""
    return CliRunner().invoke(cli, [command, *map(str, arguments)])


def refused(result: Result, sentence: str, *, code: int = 1) -> None:
    """Assert that a command said why it failed, in a sentence, and nothing else."""
    assert (result.exit_code, result.stdout) == (code, "")
    assert re.search(f"^Error: .*{sentence}", result.stderr, re.MULTILINE), result.stderr
    assert "Traceback" not in result.stderr


def on_a_terminal(command: Sequence[str | Path], cwd: Path | None = None) -> tuple[int, bytes, bytes]:
    """Run a command whose output is a terminal of 24 by 80; return its exit code, what that shows, and stderr."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    try:
        with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, cwd=cwd) as process:
            os.close(theirs)
            shown = b""
            while piece := _read(ours):
                shown += piece
            assert process.stderr is not None
            return process.wait(), shown, process.stderr.read()
    finally:
        os.close(ours)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # its last writer has gone
        return b""
