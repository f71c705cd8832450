"""Locks among the processes of all hosts, and of rows, in PostgreSQL."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import text

from tests.services import Service, await_
from vimeo_api import config
from vimeo_api.app import create_app
from vimeo_api.core.database import shared_locks, statements
from vimeo_api.core.deliveries import attempts
from vimeo_api.core.errors import Unavailable
from vimeo_api.extensions import db


@pytest.fixture
def app(stack: Service, tmp_path: Path) -> Iterator[Flask]:
    """An app on another host, with the database of the stack."""
    database = f"postgresql+psycopg:///vimeo_api?host={stack.data / 'run'}&user=vimeo_api"
    settings = {"DATA_DIR": str(tmp_path), "DATABASE_URL": database, "DATABASE_SECONDS": "1"}
    app = create_app(config.load(settings))
    with app.app_context():
        yield app
        db.engine.dispose()


def is_free(app: Flask, name: str) -> bool:
    """Return whether another process, here another thread, can have a lock."""

    def free() -> bool:
        with app.app_context(), shared_locks.tried(name) as got:
            return got

    with ThreadPoolExecutor(1) as other:
        return other.submit(free).result()


def test_one_process_of_all_hosts_holds_a_lock(app: Flask) -> None:
    with shared_locks.held("one"):
        assert not is_free(app, "one")
        assert is_free(app, "another")
    assert is_free(app, "one")
    with shared_locks.tried("one") as got:
        assert got
        assert not is_free(app, "one")
    assert is_free(app, "one")


def test_it_gives_up_on_a_lock_that_is_not_released(app: Flask) -> None:
    with shared_locks.held("one"), ExitStack() as second, pytest.raises(Unavailable):
        second.enter_context(shared_locks.held("one"))
    assert is_free(app, "one")


def test_the_lock_of_a_dead_connection_is_free(app: Flask) -> None:
    with shared_locks.held("one"):
        holders = (
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
        )
        statements.row(
            text(f"{holders} AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
        )
        await_(lambda: is_free(app, "one"))  # PostgreSQL ends a connection after it has answered
    with shared_locks.held("one"):
        assert not is_free(app, "one")


def test_two_processes_that_record_the_same_attempts_do_not_lock_each_other_out(app: Flask) -> None:
    ended = datetime.now(UTC)
    start = Barrier(2)

    def note(file_id: int, responses: Iterable[int]) -> None:
        rows = [{"file_id": file_id, "response": one, **dict.fromkeys(("begun_at", "slot"))} for one in responses]
        start.wait()
        with app.app_context():
            attempts.note(*({**row, "ended_at": ended, "start": 0, "sent": 1, "complete": True} for row in rows))

    with ThreadPoolExecutor(2) as both:
        for file_id in range(-20, 0):
            futures = [both.submit(note, file_id, order) for order in (range(1, 200), range(199, 0, -1))]
            for future in futures:
                future.result()
            with app.app_context():
                assert [row.response for row in attempts.at(file_id)] == [*range(1, 200)]
