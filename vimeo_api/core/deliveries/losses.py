"""Until when lines of a host's journal may have been lost; `confirmations` records it, and asks before a lease lapses.

A power cut loses what was in the page cache; a full disk loses the lines that it has no space for. A complete download
then looks like one that was never reported. Source: random(4), boot_id.
"""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from sqlalchemy import bindparam, func, select, text

from vimeo_api.core import hosts
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import JournalLoss, UtcDateTime
from vimeo_api.extensions import settings

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_NOTE = (
    "INSERT INTO journal_losses (host, cause, noted_at) VALUES (:host, :cause, :moment) ON CONFLICT (host, cause) DO "
)
_MOMENT = bindparam("moment", type_=UtcDateTime)
_NOTE_AGAIN = text(f"{_NOTE} UPDATE SET noted_at = excluded.noted_at").bindparams(_MOMENT)
_NOTE_ONCE = text(f"{_NOTE} NOTHING").bindparams(_MOMENT)

_booted: set[tuple[str, str, str]] = set()  # databases, hosts and boots that this process has recorded


def note(cause: str) -> None:
    """Record that lines may have been lost until now."""
    statements.execute(_NOTE_AGAIN.bindparams(host=settings.host_name, cause=cause, moment=now()))


def note_once(cause: str) -> None:
    """Record that lines may have been lost until now, unless this cause is recorded already."""
    statements.execute(_NOTE_ONCE.bindparams(host=settings.host_name, cause=cause, moment=now()))


def note_boot() -> None:
    """Record a boot of this host before its first lease: the power may have been cut before it.

    The first boot ever says nothing about earlier leases.
    """
    boot = settings.database_url, settings.host_name, boot_id(BOOT_ID)
    if boot not in _booted:
        moment = _NEVER if last() is None else now()
        cause = f"boot {boot[2]}"
        statements.execute(_NOTE_ONCE.bindparams(host=settings.host_name, cause=cause, moment=moment))
        _booted.add(boot)


def last(host: str | None = None) -> datetime | None:
    """Return until when lines of a host's journal, by default ours, may have been lost; None if nothing is recorded."""
    name = host or settings.host_name
    whose = JournalLoss.host.in_(("", name)) if hosts.of(None) == name else JournalLoss.host == name
    row = statements.row(select(func.max(JournalLoss.noted_at)).where(whose))
    moment: datetime | None = row[0] if row else None
    return moment


@cache
def boot_id(path: Path) -> str:
    """Return the kernel's id of this boot."""
    return path.read_text().strip()
