"""The statements of nearly every download: SQLAlchemy compiles them once, the driver runs them as they are.

That serves an eighth more first GETs on the same machine (docs/decisions/0011). All other statements go through
`statements`, and so does one of these whose connection was lost.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Dialect, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import ReturningUpdate

from vimeo_api.core.database import statements
from vimeo_api.extensions import db

Columns = tuple[Any, ...]
Statement = Select[*Columns] | ReturningUpdate[*Columns]
Values = Mapping[str, Any]
Convert = Callable[[Any], Any]
Place = TypeVar("Place", int, str)


class Prepared:
    """A statement with named parameters that returns at most one row."""

    def __init__(self, statement: Statement) -> None:
        """Word it when it is first needed, for only then the database is known."""
        self._statement = statement
        self._wordings: dict[str, _Wording] = {}  # by dialect

    def row(self, values: Values) -> tuple[Any, ...] | None:
        """Execute it, as a transaction of its own, and return its row, if any. Raises what `database.row` does."""
        dialect = db.engine.dialect
        wording = self._wording(dialect)
        with _errors_told(wording.text, dialect):
            connection = db.engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(wording.text, wording.parameters(values))
                found = cursor.fetchall()  # to the end, where SQLite takes the statement for done
                cursor.close()
            except dialect.loaded_dbapi.Error as error:
                if not dialect.is_disconnect(error, connection.dbapi_connection, None):
                    raise
                connection.invalidate()
                row = statements.row(self._statement, values)
                return None if row is None else tuple(row)
            finally:
                connection.close()
        return wording.row(found[0]) if found else None

    def _wording(self, dialect: Dialect) -> "_Wording":
        if dialect.name not in self._wordings:
            self._wordings[dialect.name] = _Wording(self._statement, dialect)
        return self._wordings[dialect.name]


@contextmanager
def _errors_told(text: str, dialect: Dialect) -> Iterator[None]:
    """Raise SQLAlchemy's errors in place of the driver's."""
    try:
        yield
    except dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(text, None, error, dialect.loaded_dbapi.Error) from error


class _Wording:
    """A statement as one dialect has it, and how values get in and out."""

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
        """Return the values as the driver takes them, by name or in their order."""
        named = {**self._constants, **values}
        for name, convert in self._into:
            named[name] = convert(named[name])
        return named if self._positions is None else [named[name] for name in self._positions]

    def row(self, found: Sequence[Any]) -> tuple[Any, ...]:
        """Return the values of a row as the types of their columns have them."""
        values = list(found)
        for index, convert in self._out:
            values[index] = convert(values[index])
        return tuple(values)


def _needed(converters: Iterable[tuple[Place, Convert | None]]) -> list[tuple[Place, Convert]]:
    return [(place, convert) for place, convert in converters if convert is not None]
