"""What the tests of `manage.py fetch` share."""

import hashlib
import sys
from functools import partial
from pathlib import Path

from click.testing import Result

from tests.commands.running import invoked
from tests.origin import noise
from tests.services import ROOT

CONTENT = noise(2 * 1024**2)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMMAND = [sys.executable, str(ROOT / "manage.py"), "fetch"]
SLOW = 10_000  # bytes per second and connection: half a minute for the whole

run = partial(invoked, "fetch")


def done(result: Result) -> None:
    assert (result.exit_code, result.output) == (0, ""), result.exception


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def left(folder: Path) -> list[Path]:
    """The files of fetches that are going on or may be continued, without their notes."""
    return [path for path in folder.glob(".fetch-*") if "." not in path.name[1:]]
