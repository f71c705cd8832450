"""The hosts of the service: each is a row of the table `hosts`, which its sweep renews.

A host has what others cannot reach: its pending area and its nginx's journal. So a row of `files` names the host that
has its pending bytes (`host`), and those that have leased it (`lease_host`). Each host reads its own journal, and ends
and removes only what is its own. Rows without a name are older than this table; they belong to the first host.
"""

import hmac
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import InstrumentedAttribute

from vimeo_api.config.secret import peer_key
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import Host
from vimeo_api.core.errors import Unavailable
from vimeo_api.extensions import settings

FIRST_SECONDS = 60  # for which a process remembers which host is the first one
WORKING_SECONDS = 30  # after its last sweep, for which a host gets new uploads from others
ADDRESS_SECONDS = 10  # for which a process remembers the address of a host

_addresses: dict[tuple[str, str], tuple[str, float]] = {}  # by database and host: the address, and when it was read
_first: dict[str, tuple[str, float]] = {}  # by database: the name, and when it was read


@dataclass(frozen=True, slots=True)
class Listed:
    """A host, as its row says."""

    name: str
    address: str | None  # where its nginx gives its pending files to other hosts
    joined_at: datetime
    seen_at: datetime
    journal_read_at: datetime | None


def note(*, journal_read_at: datetime | None = None) -> None:
    """Record that this host is alive, and until when the lines of its journal are handled."""
    values = {
        "name": settings.host_name,
        "address": settings.peer_address or None,
        "seen_at": now(),
        "joined_at": now(),
        "journal_read_at": journal_read_at,
    }
    new = postgresql.insert(Host).values(values)
    read = func.coalesce(new.excluded.journal_read_at, Host.journal_read_at)
    changed = {"address": new.excluded.address, "seen_at": new.excluded.seen_at, "journal_read_at": read}
    statements.execute(new.on_conflict_do_update(index_elements=[Host.name], set_=changed))


def listing() -> list[Listed]:
    """Return all hosts, the first one first."""
    columns = (Host.name, Host.address, Host.joined_at, Host.seen_at, Host.journal_read_at)
    return [Listed(*row) for row in statements.rows(select(*columns).order_by(Host.joined_at, Host.name))]


def others() -> list[str]:
    """Return the names of the other hosts."""
    return [host.name for host in listing() if host.name != settings.host_name]


def forget(name: str) -> None:
    """Remove a host from the table."""
    statements.execute(delete(Host).where(Host.name == name))
    _first.pop(settings.database_url, None)


def of(name: str | None) -> str:
    """Return which host a row means."""
    return name or _first_name() or settings.host_name


def is_here(name: str | None) -> bool:
    """Return whether a row means this host."""
    return name == settings.host_name or of(name) == settings.host_name


def here(column: InstrumentedAttribute[str | None]) -> ColumnElement[bool]:
    """Return the condition that a column means this host."""
    return means(column, settings.host_name)


def means(column: InstrumentedAttribute[str | None], host: str) -> ColumnElement[bool]:
    """Return the condition that a column means a host."""
    theirs = column == host
    return or_(theirs, column.is_(None)) if of(None) == host else theirs


def address(name: str | None) -> str:
    """Return where the nginx of a host gives its pending files to us. Raises Unavailable if that is not known."""
    host = of(name)
    known = _addresses.get((settings.database_url, host))
    if known is None or time.monotonic() - known[1] > ADDRESS_SECONDS:
        row = statements.row(select(Host.address).where(Host.name == host))
        if row is None or row.address is None:
            raise Unavailable(f"The host {host} cannot be asked for its files: it has no PEER_ADDRESS.")
        known = _addresses[settings.database_url, host] = (row.address, time.monotonic())
    return known[0]


def for_parts_of(client: str) -> str:
    """Return the host for the parts of a client's uploads: all go to the same one, for only one host can join them.

    It is one that works and can be asked by the others, chosen by rendezvous hashing: a host that comes or goes moves
    no more clients than it must.
    """
    if not settings.peer_address:
        return settings.host_name
    since = now() - timedelta(seconds=WORKING_SECONDS)
    working = [host.name for host in listing() if host.address and host.seen_at > since]
    return max(working, key=lambda name: sha256(f"{name} {client}".encode()).digest(), default=settings.host_name)


def key() -> str:
    """Return the key by which the hosts know each other."""
    return peer_key(settings.secret_key)


def is_key(sent: str) -> bool:
    """Return whether a request has that key, so that another host has passed it on."""
    return hmac.compare_digest(sent.encode(), key().encode())


def joined(names: str | None) -> str:
    """Return the hosts of a lease after this one has renewed it: the last one ends the lease once it lapses."""
    known = of(names).split()
    return " ".join([*(name for name in known if name != settings.host_name), settings.host_name])


def have_read(names: Collection[str], moment: datetime) -> bool:
    """Return whether these hosts have handled what their journals say until a moment. An unknown host has not."""
    read = {host.name: host.journal_read_at for host in listing()}
    return all((read_at := read.get(name)) is not None and read_at >= moment for name in names)


def _first_name() -> str | None:
    known = _first.get(settings.database_url)
    if known is None or time.monotonic() - known[1] > FIRST_SECONDS:
        row = statements.row(select(Host.name).order_by(Host.joined_at, Host.name).limit(1))
        if row is None:
            return None
        known = _first[settings.database_url] = (row.name, time.monotonic())
    return known[0]
