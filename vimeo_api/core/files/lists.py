"""The lists of a surface's files: sorted, searched, by pages; `services.files` calls them."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, func, select

from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.files import catalog, file_names
from vimeo_api.core.files.catalog import COLUMNS, Entry

# The orders of a list; equal ones stand in the order of upload. Made when they are used, because the database decides.
SORTS: Mapping[str, Callable[[], tuple[ColumnElement[Any], ...]]] = {
    "newest": lambda: (File.id.desc(),),
    "oldest": lambda: (File.id.asc(),),
    "name": lambda: (statements.by_code_point(File.folded_name).asc(), File.id.asc()),
    "largest": lambda: (File.size.desc(), File.id.asc()),
    "smallest": lambda: (File.size.asc(), File.id.asc()),
}


def sorted_by(sort: str, surface: str, *, containing: str = "", limit: int, offset: int = 0) -> list[Entry]:
    """Return a surface's files in one of SORTS, whose names contain a text, ignoring case."""
    order = SORTS[sort]()
    found = select(*COLUMNS).where(*_named(surface, containing)).order_by(*order)
    return catalog.entries(found.limit(limit).offset(offset))


def count(surface: str, *, containing: str = "") -> int:
    """Return how many files `sorted_by` would return without a limit."""
    row = statements.row(select(func.count()).select_from(File).where(*_named(surface, containing)))
    return int(row[0]) if row else 0


def names(surface: str, *, after: str = "", limit: int) -> list[str]:
    """Return the first names of a surface's files that sort after a given one, by code point."""
    name = statements.by_code_point(File.name)
    found = select(File.name).where(*_named(surface, ""), name > after).order_by(name).limit(limit)
    return [row.name for row in statements.rows(found)]


def _named(surface: str, containing: str) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        File.surface == surface,
        File.status.in_((Status.AVAILABLE, Status.LEASED)),
        catalog.alive(),
    ]
    if containing:
        conditions.append(File.folded_name.contains(file_names.folded(containing), autoescape=True))
    return conditions
