"""The rows of receipts: what is to be sent, when, and how it went.

A file with a `notify_url` owes receipts once it is gone, and when another of its slots is used up. The UPDATE that
made it so is the record: nothing else is written at that moment, and a partial index finds such files. `note` turns
them into rows, each with an id that stays the same for every try. `take` gives each to one worker at a time. A worker
that dies leaves its receipt due again: it may be sent twice but is never lost. The sweep calls `note`, `is_due`
and `forget`, `job` the rest.
"""

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select, text, update

from vimeo_api.core import identifiers
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import OWES_RECEIPTS, File, Receipt, ReceiptState, Status
from vimeo_api.core.database.statements import AnyRow
from vimeo_api.core.files import catalog
from vimeo_api.core.files.slots import Hold, Slots

BATCH = 200  # files per statement
CLAIM = timedelta(minutes=2)  # longer than a try takes; after that the worker that made it must be dead
# Before each further try; with jitter. About a day together.
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 60, 300, 1800, 7200, 14_400, 21_600, 36_000))
JITTER = 0.1  # of a pause, in both directions, so that what failed together does not come back together
HOST_PAUSE = timedelta(minutes=1)  # in which a host that did not answer in time is left alone
KEPT = timedelta(days=7)  # for which the URL of a receipt that failed is kept, so that it can be sent again


class Event(StrEnum):
    """What became of a file."""

    DOWNLOADED = "downloaded"
    USED_UP = "used_up"
    EXPIRED = "expired"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Taken:
    """A receipt to send, for one worker."""

    message_id: str  # `webhook-id`
    file_id: int
    event: str
    body: str
    url: str
    host: str
    attempts: int  # this one included


_TAKEN = tuple(getattr(Receipt, name) for name in Taken.__dataclass_fields__)


def public_id(key: str) -> str:
    """Return what receipts call a file: anyone with its link can compute it, but it does not reveal the link."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def note() -> int:
    """Record the receipts that files owe, BATCH files at most; return how many.

    After a crash between the two statements it is done again, which changes nothing.
    """
    columns = (File.id, File.key, File.name, File.size, File.notify_url)
    moments = (File.delivered_at, File.removed_at, File.expired_at)
    counts = (File.status, File.downloads, File.slots, File.slots_used, File.slots_told)
    files = statements.rows(select(*columns, *moments, *counts).where(text(OWES_RECEIPTS)).limit(BATCH))
    if not files:
        return 0
    receipts = [_receipt(file, *event) for file in files for event in _events(file)]
    statements.add_new(Receipt, receipts, by=("file_id", "event", "number"))
    catalog.forget_notify_url(*(file.id for file in files if file.status == Status.GONE))
    for file in files:
        if file.status != Status.GONE:
            catalog.tell_slots(file.id, file.slots_used)
    return len(receipts)


def _events(file: AnyRow) -> Iterator[tuple[Event, int, datetime]]:
    """Yield what became of a file: the event, the number of the download, and when."""
    for number, moment in enumerate(_downloads(file), file.slots_told + 1):
        yield Event.DOWNLOADED, number, moment
    if file.status != Status.GONE:
        return
    if file.delivered_at is not None:
        if file.downloads == 1:
            yield Event.DOWNLOADED, 1, file.delivered_at
        yield Event.USED_UP, 0, file.delivered_at
    elif file.removed_at is not None:
        yield Event.REMOVED, 0, file.removed_at
    else:
        yield Event.EXPIRED, 0, file.expired_at or now()


def _downloads(file: AnyRow) -> list[datetime]:
    """For each used-up slot without a receipt yet, return when it was used up, as far as that is still known."""
    done = [one.since for one in Slots.read(file.slots, file.downloads).taken.values() if one.hold is Hold.DONE]
    new = file.slots_used - file.slots_told
    moments = [datetime.fromtimestamp(since, UTC) for since in sorted(done)[-new:]] if new else []
    return [now()] * (new - len(moments)) + moments


def _receipt(file: AnyRow, event: Event, number: int, moment: datetime) -> Mapping[str, Any]:
    left = file.downloads - number if event is Event.DOWNLOADED else 0
    data = {"id": public_id(file.key), "name": file.name, "size": file.size, "downloads_left": left}
    body = {"type": f"file.{event}", "timestamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}", "data": data}
    return {
        "message_id": f"msg_{identifiers.random_hex()}",
        "file_id": file.id,
        "event": event,
        "number": number,
        "body": json.dumps(body, separators=(",", ":")),
        "url": file.notify_url,
        "host": urlsplit(file.notify_url).hostname or "",
        "state": ReceiptState.WAITING,
        "attempts": 0,
        "happened_at": moment,
        "due_at": now(),
    }


def is_due() -> bool:
    """Return whether there is a receipt to send."""
    return statements.row(select(Receipt.message_id).where(*_due(ReceiptState.WAITING)).limit(1)) is not None


def take() -> Taken | None:
    """Take a receipt that is due, for CLAIM; None if there is none."""
    due = _due(ReceiptState.WAITING)
    while (
        first := statements.row(select(Receipt.message_id).where(*due).order_by(Receipt.due_at).limit(1))
    ) is not None:
        taken = update(Receipt).where(Receipt.message_id == first.message_id, *due)
        row = statements.row(taken.values(due_at=now() + CLAIM, attempts=Receipt.attempts + 1).returning(*_TAKEN))
        if row is not None:
            return Taken(*row)
    return None


def delivered(taken: Taken) -> None:
    """Record that the receiver has it; its URL is of no more use."""
    _settle(taken, state=ReceiptState.DELIVERED, due_at=None, url="", error=None)


def unwanted(taken: Taken) -> None:
    """Record that the receiver wants nothing more about this file."""
    catalog.forget_notify_url(taken.file_id)
    ended = {"state": ReceiptState.UNWANTED, "due_at": None, "url": "", "tried_at": now(), "error": None}
    waiting = (Receipt.file_id == taken.file_id, Receipt.state == ReceiptState.WAITING)
    statements.execute(update(Receipt).where(*waiting).values(**ended))


def failed(taken: Taken, error: str) -> bool:
    """Record a try that failed; return whether there will be another one."""
    again = taken.attempts <= len(PAUSES)
    if again:
        pause = PAUSES[taken.attempts - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 -- no secret
        _settle(taken, due_at=now() + pause, error=error[:255])
    else:
        _settle(taken, state=ReceiptState.FAILED, due_at=now() + KEPT, error=error[:255])
    return again


def put_off(host: str) -> None:
    """Leave a host that did not answer in time alone for HOST_PAUSE: it would keep workers from the other hosts."""
    due = (Receipt.host == host, *_due(ReceiptState.WAITING))
    statements.execute(update(Receipt).where(*due).values(due_at=now() + HOST_PAUSE))


def forget() -> None:
    """Forget the URLs of receipts that failed long ago."""
    due = _due(ReceiptState.FAILED)
    if statements.row(select(Receipt.message_id).where(*due).limit(1)) is not None:
        statements.execute(update(Receipt).where(*due).values(url="", due_at=None))


def resend(file_id: int) -> int:
    """Start over with the undelivered receipts of a file; return how many there are."""
    these = (Receipt.file_id == file_id, Receipt.url != "")
    again = {"state": ReceiptState.WAITING, "attempts": 0, "due_at": now()}
    return statements.execute(update(Receipt).where(*these).values(**again))


def of_file(file_id: int) -> list[AnyRow]:
    """Return the receipts of a file in their order, without the URL."""
    return list(statements.rows(_listed().where(Receipt.file_id == file_id)))


def listing(*states: ReceiptState) -> list[AnyRow]:
    """Return the receipts in these states, of all files, the oldest first."""
    return list(statements.rows(_listed().where(Receipt.state.in_(states))))


def _listed() -> Any:
    columns = (
        Receipt.message_id,
        Receipt.file_id,
        Receipt.event,
        Receipt.host,
        Receipt.state,
        Receipt.attempts,
        Receipt.happened_at,
        Receipt.due_at,
        Receipt.tried_at,
        Receipt.error,
    )
    return select(*columns).order_by(Receipt.happened_at, Receipt.file_id, Receipt.event, Receipt.number)


def _due(state: ReceiptState) -> tuple[Any, ...]:
    return Receipt.due_at <= now(), Receipt.state == state


def _settle(taken: Taken, **values: Any) -> None:
    """Record the end of a try, unless another worker has begun one since."""
    same = (Receipt.message_id == taken.message_id, Receipt.attempts == taken.attempts)
    statements.execute(update(Receipt).where(*same).values(tried_at=now(), **values))
