"""What there is and what waits, counted from the rows; `web.metrics` tells.

A count reads the whole table, so it is kept for as long as keeps its cost to a small part of one process.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import current_app
from sqlalchemy import BigInteger, ColumnElement, case, func, select
from sqlalchemy.orm import InstrumentedAttribute

from vimeo_api.core import database, lifecycle
from vimeo_api.core.catalog import now
from vimeo_api.core.models import File, Status

_COST = 20  # a count is kept for so many times as long as it took


@dataclass(frozen=True, slots=True)
class Group:
    """How many files there are of a kind, and with how many bytes in all."""

    surface: str
    status: str
    fetched: bool
    claimed: bool
    failure: str | None
    files: int
    stored: int  # bytes


@dataclass(frozen=True, slots=True)
class Census:
    """All files by kind; and for how many seconds the oldest has waited for each kind of work, 0 if none does."""

    groups: Sequence[Group]
    waiting: dict[str, float]


def take() -> Census:
    """Return a count, a kept one if that is not too old."""
    kept: tuple[Census, float] | None = current_app.extensions.get("census")
    begun = time.monotonic()
    if kept and begun < kept[1]:
        return kept[0]
    census = Census(_groups(), _waiting())
    ended = time.monotonic()
    current_app.extensions["census"] = (census, ended + _COST * (ended - begun))
    return census


def _groups() -> list[Group]:
    kind = (
        File.surface,
        File.status,
        File.source_url.is_not(None).label("fetched"),
        File.grant.is_not(None).label("claimed"),
        File.failure,
    )
    stored = func.sum(case((File.purged_at.is_(None), File.size), else_=0)).cast(BigInteger)
    rows = database.rows(select(*kind, func.count(), stored).group_by(*kind))
    return [Group(*row) for row in rows]


def _waiting() -> dict[str, float]:
    moment = now()

    def since(begun: datetime | None, attempts: int = 0) -> float:
        # Each attempt has put the next one off, and so the moment from which the work is due.
        return max(0.0, (moment - begun + attempts * lifecycle.RETRY).total_seconds()) if begun else 0.0

    unpurged = (File.status == Status.GONE, File.due_at.is_not(None))
    due = database.rows(select(File.attempts, func.min(File.due_at)).where(*unpurged).group_by(File.attempts))
    fetching = (File.status == Status.FETCHING, File.grant.is_(None), File.due_at.is_not(None))
    return {
        "fetch": since(_oldest(File.created_at, *fetching)),
        "place": since(_oldest(File.created_at, File.landed.is_(True), File.place_due_at.is_not(None))),
        "lease": since(_oldest(File.due_at, File.status == Status.LEASED, File.due_at.is_not(None))),
        "purge": max((since(first, attempts) for attempts, first in due), default=0.0),
    }


def _oldest(moment: InstrumentedAttribute[Any], *conditions: ColumnElement[bool]) -> datetime | None:
    row = database.row(select(func.min(moment)).where(*conditions))
    return row[0] if row else None
