"""A sweep of an idle service costs next to nothing, and none of the work that a step would find is missed."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, insert, update

from vimeo_api import tasks
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, QueuedFetch, Receipt, ReceiptState, Status, Upload
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import NewFile
from vimeo_api.core.maintenance import sweep
from vimeo_api.extensions import db

PAST = now() - timedelta(seconds=1)
FUTURE = now() + timedelta(hours=1)
UPLOAD = {
    "key": "u",
    "surface": "vimeo",
    "offset": 0,
    "closed": False,
    "concat": "",
    "described": "",
    "name": "n",
    "created_at": PAST,
    "expires_at": FUTURE,
}
RECEIPT = {
    "message_id": "m",
    "file_id": 1,
    "event": "removed",
    "number": 0,
    "body": "{}",
    "url": "https://x",
    "host": "x",
    "state": ReceiptState.WAITING,
    "attempts": 0,
    "happened_at": PAST,
}


@pytest.fixture(autouse=True)
def file(app: Flask) -> None:
    """A file of which nothing is due."""
    catalog.add(NewFile("vimeo", "k", blob="b", name="n", size=1, digest="sha256:1", expires_at=FUTURE))


def test_nothing_is_due_of_what_can_wait() -> None:
    statements.execute(update(File).values(due_at=PAST))  # its digest was put off
    assert not sweep.look().work
    statements.execute(update(File).values(due_at=FUTURE, place_due_at=FUTURE, status=Status.LEASED))
    statements.execute(insert(Upload).values(**UPLOAD))
    statements.execute(insert(Receipt).values(**RECEIPT, due_at=FUTURE))
    assert not sweep.look().work


@pytest.mark.parametrize(
    "values",
    [
        {"due_at": PAST, "status": Status.LEASED},
        {"due_at": PAST, "status": Status.FETCHING},
        {"due_at": PAST, "status": Status.GONE},
        {"expires_at": PAST},
        {"place_due_at": PAST},
        {"digest": None},
        {"notify_url": "https://x", "status": Status.GONE},
        {"notify_url": "https://x", "slots_used": 1},
    ],
    ids=" ".join,
)
def test_work_of_a_file_is_found(values: Mapping[str, Any]) -> None:
    assert not sweep.look().work
    statements.execute(update(File).values(**values))
    assert sweep.look().work


@pytest.mark.parametrize(
    "row",
    [
        insert(QueuedFetch).values(file_id=1, client="c", origin="o"),
        insert(Upload).values(UPLOAD | {"expires_at": PAST}),
        insert(Upload).values(UPLOAD | {"joined_keys": "[]"}),
        insert(Receipt).values(RECEIPT | {"due_at": PAST}),
    ],
    ids=["queued fetch", "expired upload", "upload to be joined", "receipt"],
)
def test_work_of_other_tables_is_found(row: Any) -> None:
    assert not sweep.look().work
    statements.execute(row)
    assert sweep.look().work


def test_an_idle_sweep_runs_few_statements(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(tasks, "enqueue", lambda *_: True)
    tasks.sweep()
    event.listen(db.engine, "before_cursor_execute", lambda _c, _cursor, text, *_: ran.append(text))
    tasks.sweep()
    assert len(ran) <= 5, ran
