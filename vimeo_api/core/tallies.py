"""Tallies: what all processes count together, in the database, for `web.metrics` to tell.

A tally is noted after what it counts has happened, so a crash in between counts too little, never too much.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from vimeo_api.core import database
from vimeo_api.core.catalog import now
from vimeo_api.core.models import Tally

RUN_RESOLUTION = timedelta(seconds=10)  # runs that follow each other closely are noted once, and cost one write


class Counted(StrEnum):
    """What is counted."""

    CONFIRMED = "confirmed"  # downloads that used their file up
    GIVEN_BACK = "given_back"  # downloads that did not
    LAPSED = "lapsed"  # leases that nobody reported on
    PURGES = "purges"  # files whose bytes a sweep found due for removal
    FETCHES = "fetches"  # that a sweep found without a worker
    PLACEMENTS = "placements"  # that a sweep found due
    RECONCILED = "reconciled"  # files that belonged to nobody
    SWEEP = "sweep"
    RECONCILE = "reconcile"
    COUNT = "count"


def add(counts: Mapping[Counted, int]) -> None:
    """Add to tallies; what happened not at all costs nothing."""
    for name, count in counts.items():
        if count:
            _note(name, count)


def ran(task: Counted) -> None:
    """Note that a periodic task has run just now, at most once in RUN_RESOLUTION."""
    last = database.row(select(Tally.noted_at).where(Tally.name == task))
    if last is None or last.noted_at < now() - RUN_RESOLUTION:
        _note(task, 1)


def told() -> dict[str, tuple[int, datetime]]:
    """Return value and last time of all tallies so far."""
    rows = database.rows(select(Tally.name, Tally.value, Tally.noted_at))
    return {row.name: (row.value, row.noted_at) for row in rows}


def _note(name: Counted, count: int) -> None:
    values: dict[str, Any] = {"value": Tally.value + count, "noted_at": now()}
    more = update(Tally).where(Tally.name == name).values(values)
    if not database.changed(more):
        try:
            database.changed(insert(Tally).values(name=name, value=count, noted_at=now()))
        except IntegrityError:
            database.changed(more)  # somebody else was first to note it at all
