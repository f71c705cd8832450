"""Run statements, each in its own transaction: no decision in this project needs two (docs/decisions/0003)."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CursorResult,
    Executable,
    Row,
    Select,
    any_,
    collate,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import InstrumentedAttribute

from vimeo_api.extensions import Base, db

AnyRow = Row[*tuple[Any, ...]]
AnyResult = CursorResult[*tuple[Any, ...]]
Query = Select[*tuple[Any, ...]]
Result = TypeVar("Result")

PIECE = 20_000  # rows of a large table that one statement reads, so that none takes long


def rows(statement: Executable) -> Sequence[AnyRow]:
    """Execute a statement and return all its rows."""
    return _execute(statement, lambda result: result.all())


def row(statement: Executable, values: Mapping[str, Any] | None = None) -> AnyRow | None:
    """Execute a statement with these parameters and return its first row, if any."""
    return _execute(statement, lambda result: result.first(), values)


def execute(statement: Executable, values: Sequence[Mapping[str, Any]] | None = None) -> int:
    """Execute a statement, once for each of the values if there are any, and return how many rows it changed."""
    return _execute(statement, lambda result: result.rowcount, values)


def among(column: InstrumentedAttribute[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """Return the condition that a column has one of many values; its SQL does not grow with their number.

    SQLAlchemy and psycopg process every parameter of a written-out IN, each time.
    """
    wanted = list(values)
    if db.engine.dialect.name == "postgresql":
        return column == any_(literal(wanted, ARRAY(column.type)))
    each = func.json_each(json.dumps(wanted)).table_valued("value")
    return column.in_(select(each.c.value))


def insert_new(table: type[Base]) -> postgresql.Insert:
    """Return an INSERT that leaves alone what is there already; it then changes and returns no row.

    An error instead would fill PostgreSQL's log. SQLite has the same clause, so one statement serves both.
    """
    return postgresql.insert(table).on_conflict_do_nothing()


def add_new(table: type[Base], new: Iterable[Mapping[str, Any]], *, by: Sequence[str]) -> None:
    """Insert rows, all at once; leave alone what is there already.

    They come in the order of `by`, the names of a unique key: two processes that inserted the same rows in different
    orders would wait for each other, until PostgreSQL ends one of them as a deadlock.
    """
    execute(insert_new(table), sorted(new, key=lambda values: [values[name] for name in by]))


def by_code_point(column: InstrumentedAttribute[Any]) -> ColumnElement[str]:
    """Return a text column as it is compared and sorted by code point, whatever the database's locale."""
    return collate(column, "C") if db.engine.dialect.name == "postgresql" else column.expression


def _execute(
    statement: Executable,
    take: Callable[[AnyResult], Result],
    values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
) -> Result:
    try:
        with db.engine.connect() as connection:
            return take(connection.execute(statement, values))
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
    # The server closed the pooled connection, for example by a restart. Our statements can be repeated safely:
    # each move is a compare-and-swap, and the unique key refuses a row that was inserted the first time.
    with db.engine.connect() as connection:
        return take(connection.execute(statement, values))
