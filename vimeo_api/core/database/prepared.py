"""The statements that nearly every request runs: SQLAlchemy compiles them once, the driver runs them directly.

That serves an eighth more first GETs on the same machine (docs/decisions/0011). All other statements go through
`statements`. So does a prepared one that lost its connection.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Dialect, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert, ReturningUpdate

from vimeo_api.core.database import statements
from vimeo_api.extensions import db

Columns = tuple[Any, ...]
Statement = Select[*Columns] | ReturningInsert[*Columns] | ReturningUpdate[*Columns] | ReturningDelete[*Columns]
Values = Mapping[str, Any]
Convert = Callable[[Any], Any]
Position = TypeVar("Position", int, str)


class Prepared:
    """A statement with named parameters that returns at most one row."""

    def __init__(self, statement: Statement) -> None:
        """Keep the statement; it is compiled at its first use, because only then the database is known."""
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}  # by dialect

    def row(self, values: Values) -> tuple[Any, ...] | None:
        """Execute it in its own transaction and return its row, if any. Raises what `statements.row` does."""
        engine = db.engine
        dialect = engine.dialect
        compiled = self._for(dialect)
        with _sqlalchemy_errors(compiled.text, dialect):
            connection = engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(compiled.text, compiled.parameters(values))
                found = cursor.fetchall()  # all rows: only then does SQLite consider the statement finished
                cursor.close()
            except dialect.loaded_dbapi.Error as error:
                if not dialect.is_disconnect(error, connection.dbapi_connection, None):
                    raise
                connection.invalidate()
                engine.dispose()  # the others are as old; each that hangs would cost this request its patience again
                row = statements.row(self._statement, values)
                return None if row is None else tuple(row)
            finally:
                connection.close()
        return compiled.row(found[0]) if found else None

    def _for(self, dialect: Dialect) -> "_Compiled":
        if dialect.name not in self._compiled:
            self._compiled[dialect.name] = _Compiled(self._statement, dialect)
        return self._compiled[dialect.name]


def check_reachable() -> None:
    """Raise what a statement would raise if the database is down, as far as that can be known without a query.

    Callers ask before they publish bytes: an outage would otherwise fill the disk with bytes that have no row. A pooled
    connection that the server has closed looks fine, until a statement fails. From then on each is opened anew here.
    """
    engine = db.engine
    with _sqlalchemy_errors("", engine.dialect):
        engine.raw_connection().close()


@contextmanager
def _sqlalchemy_errors(text: str, dialect: Dialect) -> Iterator[None]:
    """Raise SQLAlchemy's errors instead of the driver's."""
    try:
        yield
    except dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(text, None, error, dialect.loaded_dbapi.Error) from error


class _Compiled:
    """A statement in the SQL of one dialect, with the converters for its parameters and columns."""

    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.text = str(compiled)
        self._positions = compiled.positiontup
        self._constants = compiled.params
        into = {
            name: compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in self._constants
        }
        self._into = _needed(into.items())
        out = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in statement.exported_columns
        ]
        self._out = _needed(enumerate(out))

    def parameters(self, values: Values) -> Mapping[str, Any] | Sequence[Any]:
        """Return the values in the form the driver takes: by name or by position."""
        named = {**self._constants, **values}
        for name, convert in self._into:
            named[name] = convert(named[name])
        return named if self._positions is None else [named[name] for name in self._positions]

    def row(self, found: Sequence[Any]) -> tuple[Any, ...]:
        """Convert a row of the driver to the types of its columns."""
        values = list(found)
        for index, convert in self._out:
            if values[index] is not None:  # most moments of a file are not set; a NULL is None in all our types
                values[index] = convert(values[index])
        return tuple(values)


def _needed(converters: Iterable[tuple[Position, Convert | None]]) -> list[tuple[Position, Convert]]:
    return [(position, convert) for position, convert in converters if convert is not None]
