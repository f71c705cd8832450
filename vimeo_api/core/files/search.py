"""Files as the operator looks for them: of all surfaces, by token, name, age, size and state.

`manage.py files` calls it. A search reads the table in pieces by id, so that no statement takes long, however large the
table and however rare the files.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select

from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.files import catalog, file_names
from vimeo_api.core.files.catalog import COLUMNS, Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What the files must be; None and "" accept any."""

    surface: str | None = None
    token_id: int | None = None
    name: str = ""  # or a part of it, in upper or lower case
    state: str | None = None  # by default any but `gone`
    since: datetime | None = None  # uploaded then or later
    until: datetime | None = None  # uploaded before
    smallest: int | None = None  # bytes
    largest: int | None = None  # bytes

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions for the database."""
        wanted = [File.status != Status.GONE if self.state is None else File.status == self.state]
        if self.surface is not None:
            wanted.append(File.surface == self.surface)
        if self.token_id is not None:
            wanted.append(File.token_id == self.token_id)
        if self.name:
            wanted.append(File.folded_name.contains(file_names.folded(self.name), autoescape=True))
        if self.since is not None:
            wanted.append(File.created_at >= self.since)
        if self.until is not None:
            wanted.append(File.created_at < self.until)
        if self.smallest is not None:
            wanted.append(File.size >= self.smallest)
        if self.largest is not None:
            wanted.append(File.size <= self.largest)
        return wanted


def found(search: Search) -> Iterator[Entry]:
    """Yield the files that a search wants, the oldest first."""
    conditions = search.conditions()
    last = 0
    while (highest := _end(last)) is not None:
        piece = select(*COLUMNS).where(File.id > last, File.id <= highest, *conditions).order_by(File.id)
        yield from catalog.entries(piece)
        last = highest


def _end(last: int) -> int | None:
    """Return the last id of the piece after an id, None if there is no more."""
    piece = select(File.id).where(File.id > last).order_by(File.id).limit(statements.PIECE).subquery()
    row = statements.row(select(func.max(piece.c.id)))
    return row[0] if row else None
