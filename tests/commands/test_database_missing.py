"""Commands that meet no database: one sentence, no traceback, and no second database."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.services import ROOT, free_port
from vimeo_api.cli import COMMANDS, cli
from vimeo_api.service_commands.loading import DatabaseCommand, DatabaseGroup


def manage(folder: Path, words: list[str], **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run `manage.py` in a folder."""
    environ = {"PATH": os.environ["PATH"], **settings}
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [["token", "list"], ["attempts", "http://x/y"], ["reconcile"], ["worker"]], ids=str)
def test_a_command_in_the_wrong_folder_creates_nothing(tmp_path: Path, words: list[str]) -> None:
    done = manage(tmp_path, words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"There is no database {tmp_path}/data/vimeo_api.db." in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["token", "list"], ["attempts", "http://x/y"], ["reconcile"]], ids=str)
def test_a_database_without_tables_gets_a_clear_sentence(tmp_path: Path, words: list[str]) -> None:
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE other (id)").connection.close()
    done = manage(tmp_path, words, DATABASE_URL=f"sqlite:///{tmp_path}/empty.db")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: The database lacks tables; `manage.py db upgrade` makes them.\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_loads_the_app_words_a_missing_database(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert "obj" not in command.context_settings or isinstance(command, DatabaseCommand | DatabaseGroup)


@pytest.mark.parametrize("words", [["token", "list"], ["reconcile"], ["db", "upgrade"]], ids=str)
def test_a_database_that_is_down_gets_a_clear_sentence(tmp_path: Path, words: list[str]) -> None:
    url = f"postgresql+psycopg://u:hunter2@127.0.0.1:{free_port()}/d"
    done = manage(tmp_path, words, DATABASE_URL=url)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "The database cannot be used: " in done.stderr
    assert "hunter2" not in done.stderr
