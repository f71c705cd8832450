"""A short run of `make chaos`: kills under load, and a power cut."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos import runs
from tests.chaos.disk import NoDisk, disk
from tests.services import ROOT

KILLS = 4


def test_no_kill_loses_or_leaks_or_doubles_anything() -> None:
    outcome = runs.kill(secrets.token_hex(4), KILLS, apart=True)
    print(outcome.figures())  # noqa: T201 -- for who has to find out why it failed
    assert outcome.broken == []
    assert sum(outcome.killed.values()) == KILLS


def test_no_power_cut_loses_or_leaks_or_doubles_anything(tmp_path: Path) -> None:
    own = ["unshare", "--mount"]  # a disk that is gone with the process that mounted it
    if os.geteuid() != 0 or subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        with pytest.raises(NoDisk, match="power"), disk(tmp_path):
            pass
        return
    words = ["--kills", "0", "--cuts", "1", "--profile", "embedded"]
    command = [*own, sys.executable, "-m", "tests.chaos", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout)  # noqa: T201 -- as above
    assert done.returncode == 0, done.stderr
    assert "lost 0, leaked 0, doubled 0" in done.stdout or "no power to be cut" in done.stdout
