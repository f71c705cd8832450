"""Commands that meet no database: one sentence, no traceback, and no second database.

Each fault is met once by `manage.py` itself, and by the other commands in this process.
"""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from click.testing import CliRunner

from tests.services import ROOT, free_port
from vimeo_api.cli import COMMANDS, cli
from vimeo_api.service_commands.loading import APP, DatabaseCommand, DatabaseGroup


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


def by_itself(folder: Path, words: list[str], **settings: str) -> Done:
    """Run `manage.py` in a folder."""
    environ = {"PATH": os.environ["PATH"], **settings}
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def in_process(folder: Path, words: list[str], **settings: str) -> Done:
    """Run the same command line in this process."""
    with pytest.MonkeyPatch.context() as patch, own_umask():
        patch.chdir(folder)
        patch.setattr(APP, "_loaded_app", None)  # that of an earlier command
        patch.setattr(os, "environ", {"PATH": os.environ["PATH"], **settings})
        result = CliRunner().invoke(cli, words)
    return Done(result.exit_code, result.stdout, result.stderr)


@contextmanager
def own_umask() -> Iterator[None]:
    """Undo what a command does to the mask of this process."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (by_itself, ["reconcile"]),
        (in_process, ["token", "list"]),
        (in_process, ["attempts", "http://x/y"]),
        (in_process, ["worker"]),
    ],
)
def test_a_command_in_the_wrong_folder_creates_nothing(tmp_path: Path, run: Run, words: list[str]) -> None:
    done = run(tmp_path, words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"There is no database {tmp_path}/data/vimeo_api.db." in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("run", "words"),
    [(by_itself, ["token", "list"]), (in_process, ["attempts", "http://x/y"]), (in_process, ["reconcile"])],
)
def test_a_database_without_tables_gets_a_clear_sentence(tmp_path: Path, run: Run, words: list[str]) -> None:
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE other (id)").connection.close()
    done = run(tmp_path, words, DATABASE_URL=f"sqlite:///{tmp_path}/empty.db")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: The database lacks tables; `manage.py db upgrade` makes them.\n"


@pytest.mark.parametrize(
    ("words", "settings", "sentence"),
    [
        (["--addr", "localhost:\N{SUPERSCRIPT TWO}"], {}, "PORT: "),
        (["--bind", "\udcff"], {}, "A setting is not UTF-8."),
        ([], {"DATABASE_URL": "sqlite:///nowhere/x.db"}, "The database cannot be used: unable to open database file"),
        ([], {"DATABASE_URL": "sqlite:///"}, "DATABASE_URL must name a database"),
        ([], {"DATABASE_URL": "sqlite:///:memory:"}, "DATABASE_URL must name a database"),
        ([], {"BROKER_URL": "redis://localhost:1"}, "The broker cannot be used: "),
    ],
)
def test_a_server_that_cannot_start_says_why(
    tmp_path: Path, words: list[str], settings: dict[str, str], sentence: str
) -> None:
    done = in_process(tmp_path, ["runserver", *words], **settings)
    assert (done.returncode, done.stdout, sentence in done.stderr) == (1, "", True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_loads_the_app_words_a_missing_database(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert "obj" not in command.context_settings or isinstance(command, DatabaseCommand | DatabaseGroup)


@pytest.mark.parametrize(
    ("run", "words"), [(by_itself, ["db", "upgrade"]), (in_process, ["token", "list"]), (in_process, ["reconcile"])]
)
def test_a_database_that_is_down_gets_a_clear_sentence(tmp_path: Path, run: Run, words: list[str]) -> None:
    url = f"postgresql+psycopg://u:hunter2@127.0.0.1:{free_port()}/d"
    done = run(tmp_path, words, DATABASE_URL=url)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "The database cannot be used: " in done.stderr
    assert "hunter2" not in done.stderr
