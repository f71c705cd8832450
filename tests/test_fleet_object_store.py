"""The object store of `make fleet` has a /tmp of its own, in which its files and its program keep their places."""

import subprocess
from pathlib import Path

from deploy.fleet import OBJECT_STORE
from tests.mounts import mounting


def test_the_object_store_of_a_checkout_below_tmp_finds_its_program_and_its_files(tmp_path: Path) -> None:
    assert tmp_path.is_relative_to("/tmp")
    files, program, shared = tmp_path / "files", tmp_path / "venv", tmp_path / "shared"
    for folder in (files, program):
        folder.mkdir()
    shared.touch()
    run = program / "weed"
    run.write_text('#!/bin/sh\n[ -e "$2" ] || echo alone > "$1/found"\nkill $PPID\n')
    run.chmod(0o755)
    command = [*mounting(OBJECT_STORE, str(files), str(program)), str(run), str(files), str(shared)]
    subprocess.run(command, timeout=20, check=False)
    assert (files / "found").read_text() == "alone\n"
