"""Statements, each a transaction of its own: no decision in this project spans two (docs/decisions/0003)."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ARRAY, ColumnElement, CursorResult, Executable, Row, Select, any_, func, literal, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.pool import QueuePool

from vimeo_api.extensions import db

AnyRow = Row[*tuple[Any, ...]]
AnyResult = CursorResult[*tuple[Any, ...]]
Query = Select[*tuple[Any, ...]]
Result = TypeVar("Result")


def rows(statement: Executable) -> Sequence[AnyRow]:
    """Execute a statement and return all its rows."""
    return _execute(statement, lambda result: result.all())


def row(statement: Executable, values: Mapping[str, Any] | None = None) -> AnyRow | None:
    """Execute a statement, with values for its parameters, and return its first row, if any."""
    return _execute(statement, lambda result: result.first(), values)


def changed(statement: Executable) -> int:
    """Execute a statement and return how many rows it touched."""
    return _execute(statement, lambda result: result.rowcount)


def among(column: InstrumentedAttribute[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """Return the condition that a column has one of many values, in words that do not grow with their number.

    Of an IN that is spelt out, SQLAlchemy and psycopg look at every word each time.
    """
    wanted = list(values)
    if db.engine.dialect.name == "postgresql":
        return column == any_(literal(wanted, ARRAY(column.type)))
    each = func.json_each(json.dumps(wanted)).table_valued("value")
    return column.in_(select(each.c.value))


def check_reachable() -> None:
    """Raise what a statement would if the database cannot be reached, as far as that shows without asking it.

    So no bytes are published that could not be written down: an outage would fill the disk with them. A connection of
    the pool that has been closed meanwhile looks well, and shows by the statement.
    """
    pool = db.engine.pool
    if not (isinstance(pool, QueuePool) and pool.checkedin()):
        db.engine.connect().close()


def _execute(
    statement: Executable, take: Callable[[AnyResult], Result], values: Mapping[str, Any] | None = None
) -> Result:
    try:
        with db.engine.connect() as connection:
            return take(connection.execute(statement, values))
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
    # The server closed the pooled connection, as a restart does. Our statements bear repeating:
    # each move is a compare-and-swap, and a row that did get in is refused by its unique key.
    with db.engine.connect() as connection:
        return take(connection.execute(statement, values))
