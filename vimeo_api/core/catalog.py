"""What is written down about files: rows are added and found here, and moved in `lifecycle`."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import insert, select

from vimeo_api.core import database, generations
from vimeo_api.core.models import File, Status


@dataclass(frozen=True, slots=True)
class Entry:
    """What a decision about a download needs to know of a file."""

    id: int
    surface: str
    key: str
    blob: str
    name: str
    size: int
    password_hash: str | None
    status: str
    due_at: datetime | None
    grant: str | None
    delivered_at: datetime | None
    purged_at: datetime | None


_COLUMNS = tuple(getattr(File, name) for name in Entry.__dataclass_fields__)


def add(*, surface: str, key: str, blob: str, name: str, size: int, password_hash: str | None) -> None:
    """Write down a file whose bytes are durable in the store; from here on it is available.

    Raises sqlalchemy.exc.IntegrityError when the surface has the key already.
    """
    database.changed(
        insert(File).values(
            surface=surface,
            key=key,
            blob=blob,
            name=name,
            size=size,
            password_hash=password_hash,
            created_at=now(),
            status=Status.AVAILABLE,
            answers=0,
            attempts=0,
            resumed=False,
        )
    )
    generations.renew(surface, key)


def find(surface: str, key: str) -> Entry | None:
    """Return the file of that key, if the surface ever had it."""
    row = database.row(select(*_COLUMNS).where(File.surface == surface, File.key == key))
    return Entry(*row) if row else None


def now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(UTC)
