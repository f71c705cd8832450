"""Counters that all processes share, in the database; tasks add to them, `web.monitoring.gauges` shows them.

A counter is incremented after the event that it counts, so a crash in between counts too little, never too much.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import bindparam, select, text

from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import Counter, UtcDateTime
from vimeo_api.extensions import settings

_INCREMENT = text(
    "INSERT INTO counters (name, value, noted_at) VALUES (:name, :count, :moment) "
    "ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value, noted_at = excluded.noted_at"
).bindparams(bindparam("moment", type_=UtcDateTime))
RUN_RESOLUTION = timedelta(seconds=10)  # runs in quick succession are recorded once, with one write

_recorded: dict[tuple[str, str], datetime] = {}  # by database and task: when this process last recorded a run


class Counted(StrEnum):
    """What is counted."""

    CONFIRMED = "confirmed"  # downloads that used up their file
    GIVEN_BACK = "given_back"  # downloads that did not
    LAPSED = "lapsed"  # leases that ended without a report
    DOUBTED = "doubted"  # leases whose report may be lost
    PURGES = "purges"  # files whose bytes a sweep found due for removal
    FETCHES = "fetches"  # that a sweep found without a worker
    PLACEMENTS = "placements"  # steps of files that were due
    PLACED = "placed"  # files that were copied into the store
    PLACED_BYTES = "placed_bytes"
    PLACE_FAILURES = "place_failures"  # copies that the store did not take
    RECONCILED = "reconciled"  # files on disk that belonged to no row
    UPLOADS_STARTED = "uploads_started"
    UPLOADS_FINISHED = "uploads_finished"
    UPLOADS_EXPIRED = "uploads_expired"
    UPLOADS_INTERRUPTED = "uploads_interrupted"  # requests of theirs that broke off, whose bytes were kept
    ADOPTED_BYTES = "adopted_bytes"  # of requests that broke off
    RECEIPTS_DELIVERED = "receipts_delivered"
    RECEIPTS_UNWANTED = "receipts_unwanted"  # the receiver answered 410
    RECEIPTS_FAILED = "receipts_failed"  # given up
    RECEIPT_TRIES_FAILED = "receipt_tries_failed"
    SWEEP = "sweep"
    RECONCILE = "reconcile"
    COUNT = "count"


def add(counts: Mapping[Counted, int]) -> None:
    """Add to counters; a count of zero costs nothing."""
    for name, count in counts.items():
        if count:
            _increment(name, count)


def ran(task: Counted) -> None:
    """Record that a periodic task has just run, at most once per RUN_RESOLUTION in each process."""
    this = settings.database_url, task
    if this not in _recorded or _recorded[this] < now() - RUN_RESOLUTION:
        _increment(task, 1)
        _recorded[this] = now()


def read() -> dict[str, tuple[int, datetime]]:
    """Return the value of every counter and the time of its last increment."""
    rows = statements.rows(select(Counter.name, Counter.value, Counter.noted_at))
    return {row.name: (row.value, row.noted_at) for row in rows}


def _increment(name: Counted, count: int) -> None:
    statements.execute(_INCREMENT.bindparams(name=name, count=count, moment=now()))
