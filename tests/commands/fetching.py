"""What the tests of `manage.py fetch` share."""

import hashlib
import re
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from tests.origin import noise
from tests.services import ROOT
from vimeo_api.cli import cli

CONTENT = noise(2 * 1024**2)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMMAND = [sys.executable, str(ROOT / "manage.py"), "fetch"]
SLOW = 100_000  # bytes per second and connection: minutes for the whole


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
