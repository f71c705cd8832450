"""A worker's claim on a fetch: a token in the row, which the worker renews while it works.

A claim that is not renewed lapses, and the next sweep enqueues the fetch again. `turns` says how many may be claimed
for one client and one host. `job` claims, renews and finishes or fails; `recovery` releases the claims of dead workers;
`services.fetches` cancels and reads the progress.
"""

import logging
import math
from datetime import timedelta
from typing import Any

from sqlalchemy import Boolean, and_, bindparam, case, not_, or_, select

from vimeo_api.core.clock import now
from vimeo_api.core.database import shared_locks, statements
from vimeo_api.core.database.models import Failure, File, Status
from vimeo_api.core.database.prepared import Prepared
from vimeo_api.core.fetching import turns
from vimeo_api.core.files import catalog, file_names, lifecycle
from vimeo_api.core.files.catalog import COLUMNS, Entry
from vimeo_api.core.files.lifecycle import Move
from vimeo_api.extensions import settings

CLAIM_SECONDS = 20  # without a sign of life, another worker takes over
SPACE_PAUSE_SECONDS = 5  # between two tries of a fetch for which the disk has no space
# Of a fetch that is over: a URL may be a secret, such as a signed one, and the row stays. A join has none.
_NO_URL = case((File.source_url.is_not(None), ""))

_log = logging.getLogger(__name__)

_CLAIM = Prepared(
    lifecycle.moving(
        Move.WORK,
        File.id == bindparam("file"),
        or_(
            File.lease_token.is_(None),
            File.due_at <= bindparam("moment"),
            File.lease_token == bindparam("dead"),
        ),
        not_(turns.CROWDED),
        lease_token=bindparam("holder"),
        due_at=bindparam("until"),
        attempts=File.attempts + 1,
    ).returning(*COLUMNS)
)
_HELD = (File.id == bindparam("file"), File.lease_token == bindparam("holder"))
_RENEW = Prepared(lifecycle.moving(Move.WORK, *_HELD, due_at=bindparam("until")).returning(File.id))
_RECORD = Prepared(
    lifecycle.moving(
        Move.WORK,
        *_HELD,
        due_at=bindparam("until"),
        received=bindparam("bytes"),
        total=bindparam("of"),
        attempts=case((bindparam("advanced", type_=Boolean), 0), else_=File.attempts),
    ).returning(File.id)
)


def claim(file_id: int, token: str, *, dead: str | None = None) -> Entry | None:
    """Take the claim if it is free, has lapsed, or is `dead`: the token of a worker that is known to be dead.

    Returns None if it is not, or if the fetch must wait for its turn. The lock makes the count of running fetches
    exact: PostgreSQL would let two that claim at the same moment not see each other.
    """
    with shared_locks.held("fetches"):
        until = now() + timedelta(seconds=CLAIM_SECONDS)
        row = _CLAIM.row({"file": file_id, "holder": token, "dead": dead, "until": until, **turns.limits()})
    return Entry(*row) if row else None


def renew(file_id: int, token: str, *, seconds: float = CLAIM_SECONDS) -> bool:
    """Keep the claim for `seconds` from now; return whether it was still ours."""
    values = {"file": file_id, "holder": token, "until": now() + timedelta(seconds=seconds)}
    return _RENEW.row(values) is not None


def record(file_id: int, token: str, *, received: int, total: int | None, advanced: bool) -> bool:
    """Record the progress, which also renews the claim; return whether it was still ours.

    `advanced`: there are more bytes than any attempt had, so this one is worth others.
    """
    until = now() + timedelta(seconds=CLAIM_SECONDS)
    values = {"file": file_id, "holder": token, "until": until, "bytes": received, "of": total, "advanced": advanced}
    return _RECORD.row(values) is not None


def release(surface: str, blob: str, token: str | None) -> None:
    """Let the next sweep enqueue the fetch, if this token, whose worker is dead, still has the claim."""
    these = (File.surface == surface, File.blob == blob)
    lifecycle.advance_all(Move.WORK, *these, File.lease_token == token, File.lease_token.is_not(None), due_at=now())


def wait_for_space(entry: Entry, token: str) -> bool:
    """Give up the claim until the disk may have space again; return False if the fetch has waited long enough."""
    if now() - entry.created_at >= timedelta(seconds=settings.fetch_space_seconds):
        return False
    wait(entry, token, seconds=SPACE_PAUSE_SECONDS)
    return True


def wait(entry: Entry, token: str, *, seconds: float) -> None:
    """Give up the claim for a while. Waiting is no attempt, of which there are few."""
    held, later = File.lease_token == token, now() + timedelta(seconds=seconds)
    lifecycle.advance(entry.id, Move.WORK, held, lease_token=None, due_at=later, attempts=File.attempts - 1)


def reschedule(file_id: int) -> int | None:
    """Reschedule a fetch whose file is locked by a worker without the claim: not yet, or no longer.

    A frozen worker does not block the fetch forever: each call counts as an attempt, however often the message is
    delivered. Returns the number of attempts, or None while a claim is alive.
    """
    soon = now() + timedelta(seconds=CLAIM_SECONDS)
    unclaimed = or_(and_(File.lease_token.is_(None), File.due_at > soon), File.due_at <= now())
    row = lifecycle.advance(file_id, Move.WORK, unclaimed, lease_token=None, due_at=soon, attempts=File.attempts + 1)
    return None if row is None else row.attempts


def revive(limit: int) -> list[int]:
    """Return the ids of fetches that are due, have no worker and need not wait for their turn, and put them off."""
    turns.wait_all()
    due = (File.status == Status.FETCHING, File.due_at <= now(), turns.first_of_each_client())
    values = {"lease_token": None, "due_at": now() + turns.BEGIN}
    return catalog.put_off(*due, order=File.due_at, limit=limit, values=values)


def revive_all() -> None:
    """Let the next sweep enqueue every fetch that has no worker.

    Messages that a dead worker had received are lost, so the next worker calls this when it starts.
    """
    # The others are due anyway; without the comparison, this would read the whole table.
    lifecycle.advance_all(Move.WORK, File.lease_token.is_(None), File.due_at > now(), due_at=now())


def finish(file_id: int, token: str, *, name: str, size: int, modified: int, pending: bool, **found: Any) -> bool:
    """Make a file with durable bytes available; return False if the claim was lost before."""
    safe = file_names.safe(name)
    finished = lifecycle.advance(
        file_id,
        Move.FINISH,
        File.lease_token == token,
        name=safe,
        folded_name=file_names.folded(safe),
        size=size,
        modified=modified,
        received=size,
        total=size,
        source_url=_NO_URL,
        lease_token=None,
        due_at=None,
        pending=pending,
        place_due_at=now() if pending else None,
        host=settings.host_name if pending else None,
        **found,
    )
    if finished is not None:
        return True
    # A statement whose result was lost may have done it; then the claim is gone and the row is available.
    row = statements.row(select(File.status).where(File.id == file_id))
    return row is not None and row.status == Status.AVAILABLE


def fail(file_id: int, token: str, failure: Failure, sentence: str) -> None:
    """Give up a fetch, if the claim is still ours; the client sees the sentence."""
    _log.info("fetch of file %d failed: %s", file_id, failure)
    lifecycle.advance(file_id, Move.FAIL, File.lease_token == token, **_failed(failure, sentence))


def cancel(file_id: int) -> bool:
    """Stop a fetch, even while a worker has it; return whether there was one to stop."""
    return lifecycle.advance(file_id, Move.FAIL, **_failed(Failure.CANCELLED, "Cancelled.")) is not None


def _failed(failure: Failure, sentence: str) -> dict[str, Any]:
    return {
        "failure": failure,
        "error": sentence[:255],
        "source_url": _NO_URL,
        "size": 0,  # of a join, it was known before
        "lease_token": None,
        "due_at": None,
    }


def progress(entry: Entry) -> dict[str, Any]:
    """Return a fetch's state, bytes so far, total bytes, bytes per second, seconds left and error."""
    seconds = max((now() - entry.created_at).total_seconds(), 0.001)
    rate = entry.received / seconds if entry.status == Status.FETCHING else None
    left = None
    if rate and entry.total:
        left = math.ceil((entry.total - entry.received) / rate)
    return {
        "state": Status.AVAILABLE if entry.status == Status.LEASED else entry.status,
        "bytes": entry.received,
        "total": entry.total,
        "rate": None if rate is None else round(rate),
        "seconds_left": left,
        "failure": entry.failure,
        "error": entry.error,
    }
