"""The command line as a whole: what each command imports, and what `--help` prints."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import pytest

from tests.commands.running import invoked, refused
from tests.services import ROOT
from vimeo_api.cli import COMMANDS, cli

# Prints which modules of the service a command has imported.
LOADED = """
import sys
from vimeo_api.cli import cli
cli(sys.argv[1:], standalone_mode=False)
service = {"flask", "celery", "kombu", "sqlalchemy", "pydantic", "vimeo_api.app", "vimeo_api.config"}
print("loaded:", *sorted(service & sys.modules.keys()))
"""


def loaded(*arguments: str) -> set[str]:
    command = [sys.executable, "-c", LOADED, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].removeprefix("loaded:").split())


@pytest.mark.parametrize("line", ["--help", "--version", "copy --help", "fetch --help", "send --help", "get --help"])
def test_commands_without_the_app_do_not_import_the_service(line: str) -> None:
    assert loaded(*line.split()) == set()


def test_commands_of_the_service_import_it() -> None:
    assert loaded("token", "--help") >= {"flask", "celery", "sqlalchemy", "vimeo_api.app"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_describes_each_command_as_the_command_does(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command
    assert (command.name, (command.help or "").splitlines()[0]) == (name, COMMANDS[name][1])


def test_it_refuses_an_unknown_command() -> None:
    with pytest.raises(click.UsageError, match="No such command"):
        cli(["unknown"], standalone_mode=False)


@pytest.mark.parametrize("file_id", ["x", "0", "9" * 20])
def test_an_id_that_no_row_has_is_a_wrong_argument(file_id: str) -> None:
    refused(invoked("doubts", "release", file_id), "Invalid value for 'ID'", code=2)


def test_it_migrates_a_database(tmp_path: Path) -> None:
    environ = os.environ | {"DATA_DIR": str(tmp_path), "PROFILE": "embedded"}
    subprocess.run([sys.executable, "manage.py", "db", "upgrade"], cwd=ROOT, env=environ, check=True)
    with closing(sqlite3.connect(tmp_path / "vimeo_api.db")) as db:
        assert db.execute("SELECT count(*) FROM files").fetchone() == (0,)
