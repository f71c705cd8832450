"""What becomes of the files of a host that will not come back; `manage.py hosts retire` calls it.

Its journal is lost, so a download that it may have completed is in doubt. What lies in its pending area alone is lost,
and becomes gone. A host that comes back all the same finds no row for those bytes, and its reconciliation removes them;
what its journal says of downloads in doubt still counts.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, String, cast, func, literal, or_, select, update

from vimeo_api.core import hosts
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.files import catalog, lifecycle, slot_leases
from vimeo_api.core.files.catalog import COLUMNS, Entry
from vimeo_api.core.files.lifecycle import Move


def pending() -> dict[str, tuple[int, int]]:
    """Return how many files, and how many bytes, lie in the pending area of each host and nowhere else."""
    sums = select(File.host, func.count(), func.sum(File.size)).where(File.pending, File.status != Status.GONE)
    found: dict[str, tuple[int, int]] = {}
    for name, files, size in statements.rows(sums.group_by(File.host)):
        before = found.get(hosts.of(name), (0, 0))
        found[hosts.of(name)] = (before[0] + files, before[1] + int(size))
    return found


def lost(host: str) -> list[Entry]:
    """Return the files whose only bytes are on a host, the oldest first."""
    these = select(*COLUMNS).where(File.pending, File.status != Status.GONE, hosts.means(File.host, host))
    return catalog.entries(these.order_by(File.id))


def give_up(files: Sequence[Entry]) -> None:
    """Make files gone whose bytes are lost."""
    removed = [lifecycle.remove(file) for file in files]
    lifecycle.purged([file for file in removed if file is not None])


def forget_copies(host: str) -> None:
    """Record that the copies in the pending area of a host are lost: nothing is left to be removed there."""
    theirs = hosts.means(File.host, host)
    gone = select(*COLUMNS).where(File.pending, File.status == Status.GONE, File.purged_at.is_(None), theirs)
    lifecycle.purged(catalog.entries(gone))
    forgotten = update(File).where(File.pending.is_(False), File.place_due_at.is_not(None), theirs)
    statements.execute(forgotten.values(place_due_at=None, host=None))


def doubt(host: str) -> int:
    """Put all downloads in doubt whose end the journal of a host would have reported; return how many."""
    doubted = slot_leases.doubt(lambda slot: host in hosts.of(slot.hosts).split())
    single = (File.downloads == 1, File.leased_at.is_not(None), _reports(host))
    return doubted + lifecycle.advance_all(Move.DOUBT, *single, due_at=None, resumed=False)


def _reports(host: str) -> ColumnElement[bool]:
    """Return the condition that a host is among those whose journals report a lease."""
    names = literal(" ") + cast(File.lease_host, String) + literal(" ")
    return or_(names.contains(f" {host} ", autoescape=True), hosts.means(File.lease_host, host))
