"""The attempts at a one-time file: what each response sent, as its owner may see it. `confirmations` records them."""

from typing import Any

from sqlalchemy import select

from vimeo_api.core.database import statements
from vimeo_api.core.database.models import Attempt
from vimeo_api.core.database.statements import AnyRow

MOST = 1000  # attempts kept per file: the first ones


def note(*attempts: dict[str, Any]) -> None:
    """Record attempts; ignore those already recorded."""
    rows = [attempt for attempt in attempts if 0 < attempt["response"] <= MOST]
    if rows:
        statements.add_new(Attempt, rows, by=("file_id", "response"))


def at(file_id: int) -> list[AnyRow]:
    """Return the attempts at a file, the first one first."""
    times = (Attempt.begun_at, Attempt.ended_at)
    columns = (Attempt.response, *times, Attempt.start, Attempt.sent, Attempt.complete, Attempt.slot)
    these = select(*columns).where(Attempt.file_id == file_id).order_by(Attempt.response)
    return list(statements.rows(these))
