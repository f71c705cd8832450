"""Prepared statements do the same as the same statements through SQLAlchemy."""

import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.exc import OperationalError

from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File
from vimeo_api.core.database.prepared import Prepared
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import NewFile
from vimeo_api.extensions import db

EVERYTHING = select(File.__table__).where(File.key == bindparam("key"))


@pytest.fixture
def key(app: Flask) -> str:
    with app.app_context():
        later = datetime.now(UTC) + timedelta(days=1)
        catalog.add(NewFile("vimeo", "k", blob="b", name="näme", size=2**40, expires_at=later, pending=True))
    return "k"


def test_a_row_is_the_same_in_every_column(key: str) -> None:
    expected = statements.row(EVERYTHING, {"key": key})
    assert expected is not None
    assert Prepared(EVERYTHING).row({"key": key}) == tuple(expected)


def test_values_are_bound_by_their_column_types(key: str) -> None:
    # SQLite knows no moments, and compares texts.
    moment = datetime.now(UTC).astimezone(timezone(timedelta(hours=-23)))
    statement = select(File.key).where(File.expires_at > bindparam("moment"))
    assert Prepared(statement).row({"moment": moment}) == (key,)
    assert Prepared(statement).row({"moment": moment + timedelta(days=1, minutes=1)}) is None


def test_an_update_is_done_when_it_returns(key: str) -> None:
    statement = (
        update(File).where(File.key == bindparam("of")).values(responses=File.responses + 1).returning(File.responses)
    )
    taken = Prepared(statement)
    assert [taken.row({"of": key}), taken.row({"of": key})] == [(1,), (2,)]
    assert taken.row({"of": "another"}) is None
    found = statements.row(select(File.responses).where(File.key == key))
    assert found is not None
    assert found.responses == 2


@pytest.mark.usefixtures("app")
def test_an_error_is_raised_as_sqlalchemy_raises_it() -> None:
    with pytest.raises(OperationalError, match="no such function: missing"):
        Prepared(select(func.missing(bindparam("secret")))).row({"secret": "hunter2"})


def test_a_statement_is_repeated_after_a_lost_connection(key: str) -> None:
    prepared = Prepared(EVERYTHING)
    assert prepared.row({"key": key})
    pooled = db.engine.raw_connection()
    lost = pooled.dbapi_connection
    pooled.close()
    assert lost is not None
    lost.close()  # and the pool learns nothing of it
    assert prepared.row({"key": key})


def test_after_a_lost_connection_no_other_pooled_one_is_tried(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pooled = [db.engine.raw_connection() for _ in range(2)]
    lost = [connection.dbapi_connection for connection in pooled]
    for connection in pooled:
        connection.close()
    for broken in lost:
        assert broken is not None
        broken.close()
    left, ask = [], statements.row

    def row(*arguments: Any) -> Any:
        left.append(db.engine.pool.checkedin())  # type: ignore[attr-defined]
        return ask(*arguments)

    monkeypatch.setattr(statements, "row", row)
    assert Prepared(EVERYTHING).row({"key": key})
    assert left == [0]


def test_an_unreachable_database_raises_the_error_of_sqlalchemy(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    db.engine.dispose()
    monkeypatch.setattr("sqlite3.dbapi2.connect", refuse)
    for ask in (Prepared(EVERYTHING).row, lambda values: statements.row(EVERYTHING, values)):
        with pytest.raises(OperationalError, match="unable to open"):
            ask({"key": key})
