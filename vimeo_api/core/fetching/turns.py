"""Whose turn it is: how many fetches of one client, and how many from one host, run at the same time.

A row of `queued_fetches` says who asked for a fetch that waits or runs, and which host it asks first. A fetch whose
client or host has enough running ones is put off and holds no worker. Its turn comes when one of those ends, or at the
next sweep. `services.fetches` adds rows; `claims` and `job` ask whose turn it is; the sweep forgets fetches that are
over.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, and_, bindparam, delete, exists, func, insert, not_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, QueuedFetch, Status
from vimeo_api.core.database.prepared import Prepared
from vimeo_api.core.files import catalog, lifecycle
from vimeo_api.core.files.lifecycle import Move
from vimeo_api.extensions import settings

WAIT = timedelta(seconds=10)  # until a fetch that waits for its turn is looked at again
BEGIN = timedelta(seconds=60)  # until a fetch that was enqueued and has not begun is enqueued again

_asking = aliased(QueuedFetch)
_other = aliased(QueuedFetch)
_running = aliased(File)


def crowded(*, moment: Any, per_client: Any, per_origin: Any) -> ColumnElement[bool]:
    """Return the condition that as many fetches as may run for a file's client, or from its host, are running.

    Its parameters are those of `limits`, or stand for them in a prepared statement.
    """
    enough = or_(
        _asking.client.in_(_busy(_other.client, per_client, moment)),
        _asking.origin.in_(_busy(_other.origin, per_origin, moment)),
    )
    return exists().where(_asking.file_id == File.id, enough)


def _busy(column: InstrumentedAttribute[str], most: Any, moment: Any) -> Select[Any]:
    running = (_running.status == Status.FETCHING, _running.lease_token.is_not(None), _running.due_at > moment)
    these = select(column).join(_running, _running.id == _other.file_id).where(*running)
    return these.group_by(column).having(func.count() >= most)


def _next(*, ended: Any, until: Any, moment: Any, **most: Any) -> ColumnElement[bool]:
    """Return the condition that a waiting fetch may begin now that another one has ended."""
    over = select(QueuedFetch).where(QueuedFetch.file_id == ended).subquery()
    same = or_(_other.client == over.c.client, _other.origin == over.c.origin)
    return and_(
        File.status == Status.FETCHING,
        File.lease_token.is_(None),
        File.due_at.between(moment, until),  # put off, so no message is under way
        File.id.in_(select(_other.file_id).where(same)),
        not_(crowded(moment=moment, **most)),
    )


_LIMITS = {
    "moment": bindparam("moment"),
    "per_client": bindparam("per_client", type_=Integer),
    "per_origin": bindparam("per_origin", type_=Integer),
}
CROWDED = crowded(**_LIMITS)
_ADD = Prepared(
    insert(QueuedFetch)
    .values(file_id=bindparam("file"), client=bindparam("asking"), origin=bindparam("asked"))
    .returning(QueuedFetch.file_id)
)
_WAIT = Prepared(
    lifecycle.moving(
        Move.WORK,
        File.id == bindparam("file"),
        or_(File.lease_token.is_(None), File.due_at <= bindparam("moment")),
        CROWDED,
        lease_token=None,
        due_at=bindparam("until"),
    ).returning(File.id)
)
_NEXT = Prepared(
    select(File.id)
    .where(_next(ended=bindparam("ended"), until=bindparam("until"), **_LIMITS))
    .order_by(File.id)
    .limit(1)
)


def limits() -> dict[str, Any]:
    """Return the parameters of `crowded`, as of now."""
    return {"moment": now(), "per_client": settings.fetch_per_client, "per_origin": settings.fetch_per_origin}


def add(file_id: int, *, client: str, origin: str) -> None:
    """Note who asked for a fetch, and which host it fetches from."""
    _ADD.row({"file": file_id, "asking": client, "asked": origin})


def first_of_each_client() -> ColumnElement[bool]:
    """Return the condition that a due fetch is among its client's first, because only a few of thousands can run."""
    number = func.row_number().over(partition_by=QueuedFetch.client, order_by=File.id).label("number")
    due = (File.status == Status.FETCHING, File.due_at <= now())
    line = select(File.id, number).outerjoin(QueuedFetch, QueuedFetch.file_id == File.id).where(*due).subquery()
    return File.id.in_(select(line.c.id).where(line.c.number <= settings.fetch_per_client))


def wait(file_id: int) -> bool:
    """Put a fetch off if it must wait for its turn; return whether it must."""
    return _WAIT.row({"file": file_id, "until": now() + WAIT, **limits()}) is not None


def wait_all() -> None:
    """Put off all due fetches that must wait for their turn."""
    lifecycle.advance_all(Move.WORK, File.due_at <= now(), crowded(**limits()), lease_token=None, due_at=now() + WAIT)


def following(file_id: int) -> list[int]:
    """Return the id of the fetch whose turn it is after this one, if any: the oldest of the same client or host."""
    ended = {"ended": file_id, "until": now() + WAIT, **limits()}
    if _NEXT.row(ended) is None:  # most often nobody waits
        return []
    return catalog.put_off(_next(**ended), order=File.id, limit=1, values={"due_at": now() + BEGIN})


def forget() -> None:
    """Forget who asked for fetches that are over."""
    going_on = exists().where(File.id == QueuedFetch.file_id, File.status == Status.FETCHING)
    statements.execute(delete(QueuedFetch).where(not_(going_on)))
