"""What all processes count together, in the database; `web.monitoring` shows it.

A counter is raised after what it counts has happened, so a crash in between counts too little, never too much.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import bindparam, select, text

from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import Counter, UtcDateTime

_ADD = text(
    "INSERT INTO counters (name, value, noted_at) VALUES (:name, :count, :moment) "
    "ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value, noted_at = excluded.noted_at"
).bindparams(bindparam("moment", type_=UtcDateTime))
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
    """Add to counters; a count of zero costs nothing."""
    for name, count in counts.items():
        if count:
            _note(name, count)


def ran(task: Counted) -> None:
    """Note that a periodic task has run just now, at most once in RUN_RESOLUTION."""
    last = statements.row(select(Counter.noted_at).where(Counter.name == task))
    if last is None or last.noted_at < now() - RUN_RESOLUTION:
        _note(task, 1)


def told() -> dict[str, tuple[int, datetime]]:
    """Return the value and the last time of every counter so far."""
    rows = statements.rows(select(Counter.name, Counter.value, Counter.noted_at))
    return {row.name: (row.value, row.noted_at) for row in rows}


def _note(name: Counted, count: int) -> None:
    statements.changed(_ADD.bindparams(name=name, count=count, moment=now()))
