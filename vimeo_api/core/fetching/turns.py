"""Whose turn it is: how many fetches of one client, and how many from one host, run at the same time.

A row of `queued_fetches` says who asked for a fetch that waits or runs, and which host it asks first. A fetch whose
client or host has enough running ones is put off and holds no worker. Its turn comes when one of those ends, or at the
next sweep. `services.fetches` adds rows; `claims` and `job` ask whose turn it is; the sweep forgets fetches that are
over.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, func, insert, not_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, QueuedFetch, Status
from vimeo_api.core.files import catalog, lifecycle
from vimeo_api.core.files.lifecycle import Move
from vimeo_api.extensions import settings

WAIT = timedelta(seconds=10)  # until a fetch that waits for its turn is looked at again
BEGIN = timedelta(seconds=60)  # until a fetch that was enqueued and has not begun is enqueued again

_asking = aliased(QueuedFetch)
_other = aliased(QueuedFetch)
_running = aliased(File)


def add(file_id: int, *, client: str, origin: str) -> None:
    """Note who asked for a fetch, and which host it fetches from."""
    statements.execute(insert(QueuedFetch).values(file_id=file_id, client=client, origin=origin))


def crowded() -> ColumnElement[bool]:
    """Return the condition that enough fetches of a file's client, or from its host, are running."""
    enough = or_(
        _asking.client.in_(_busy(_other.client, settings.fetch_per_client)),
        _asking.origin.in_(_busy(_other.origin, settings.fetch_per_origin)),
    )
    return exists().where(_asking.file_id == File.id, enough)


def first_of_each_client() -> ColumnElement[bool]:
    """Return the condition that a due fetch is among its client's first, because only a few of thousands can run."""
    number = func.row_number().over(partition_by=QueuedFetch.client, order_by=File.id).label("number")
    due = (File.status == Status.FETCHING, File.due_at <= now())
    line = select(File.id, number).outerjoin(QueuedFetch, QueuedFetch.file_id == File.id).where(*due).subquery()
    return File.id.in_(select(line.c.id).where(line.c.number <= settings.fetch_per_client))


def wait(file_id: int) -> bool:
    """Put a fetch off if it must wait for its turn; return whether it must."""
    unclaimed = or_(File.lease_token.is_(None), File.due_at <= now())
    values: dict[str, Any] = {"lease_token": None, "due_at": now() + WAIT}
    return lifecycle.advance(file_id, Move.WORK, unclaimed, crowded(), **values) is not None


def wait_all() -> None:
    """Put off all due fetches that must wait for their turn."""
    lifecycle.advance_all(Move.WORK, File.due_at <= now(), crowded(), lease_token=None, due_at=now() + WAIT)


def following(file_id: int) -> list[int]:
    """Return the id of the fetch whose turn it is after this one, if any: the oldest of the same client or host."""
    ended = select(QueuedFetch).where(QueuedFetch.file_id == file_id).subquery()
    same = or_(_other.client == ended.c.client, _other.origin == ended.c.origin)
    waiting = (
        File.status == Status.FETCHING,
        File.lease_token.is_(None),
        File.due_at.between(now(), now() + WAIT),  # put off, so no message is under way
        File.id.in_(select(_other.file_id).where(same)),
        not_(crowded()),
    )
    return catalog.put_off(*waiting, order=File.id, limit=1, values={"due_at": now() + BEGIN})


def forget() -> None:
    """Forget who asked for fetches that are over."""
    going_on = exists().where(File.id == QueuedFetch.file_id, File.status == Status.FETCHING)
    statements.execute(delete(QueuedFetch).where(not_(going_on)))


def _busy(column: InstrumentedAttribute[str], most: int) -> Select[Any]:
    running = (_running.status == Status.FETCHING, _running.lease_token.is_not(None), _running.due_at > now())
    these = select(column).join(_running, _running.id == _other.file_id).where(*running)
    return these.group_by(column).having(func.count() >= most)
