"""Queues of streams, first in, first out, in the order of the rows' ids; `services.queues` calls it.

A consumer *takes* the first free stream: it gets a lease, and the lease's token is the receipt. It confirms by deleting
the stream with the receipt. If the lease lapses first, the stream is free again, in its old place.
"""

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, or_, select

from vimeo_api.core import identifiers
from vimeo_api.core.clock import now
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.files import catalog, lifecycle
from vimeo_api.core.files.catalog import COLUMNS, Entry
from vimeo_api.core.files.lifecycle import Move


def listing(surface: str, queue: str, *, after: Entry | None, limit: int) -> list[Entry]:
    """Return the streams of a queue in order, including taken ones, after a given one."""
    statement = select(*COLUMNS).where(*_in(surface, queue)).order_by(File.id).limit(limit)
    if after is not None:
        statement = statement.where(File.id > after.id)
    return catalog.entries(statement)


def first(surface: str, queue: str) -> Entry | None:
    """Return the first stream of a queue."""
    return catalog.first(select(*COLUMNS).where(*_in(surface, queue)).order_by(File.id).limit(1))


def following(entry: Entry) -> Entry | None:
    """Return the stream after a given one in its queue."""
    later = (*_in(entry.surface, entry.queue or ""), File.id > entry.id)
    return catalog.first(select(*COLUMNS).where(*later).order_by(File.id).limit(1))


def preceding(entry: Entry) -> Entry | None:
    """Return the stream before a given one in its queue."""
    earlier = (*_in(entry.surface, entry.queue or ""), File.id < entry.id)
    return catalog.first(select(*COLUMNS).where(*earlier).order_by(File.id.desc()).limit(1))


def lease_first(surface: str, queue: str, *, seconds: float) -> tuple[Entry, str] | None:
    """Lease the first free stream for `seconds`; return it and its receipt, or None if there is none."""
    receipt = identifiers.random_hex()
    free = or_(File.status == Status.AVAILABLE, and_(File.status == Status.LEASED, File.due_at <= now()))
    # With SKIP LOCKED, consumers on PostgreSQL do not wait for each other; SQLite has one writer at a time anyway.
    head = (
        select(File.id).where(*_in(surface, queue), free).order_by(File.id).limit(1).with_for_update(skip_locked=True)
    )
    until = now() + timedelta(seconds=seconds)
    leased = catalog.first(
        lifecycle.moving(
            Move.LEASE, File.id == head.scalar_subquery(), free, lease_token=receipt, due_at=until
        ).returning(*COLUMNS)
    )
    return (leased, receipt) if leased else None


def _in(surface: str, queue: str) -> tuple[ColumnElement[bool], ...]:
    return (
        File.surface == surface,
        File.queue == queue,
        File.status.in_((Status.AVAILABLE, Status.LEASED)),
        catalog.alive(),
    )
