"""The rows of files: services and the rest of the core add and find them here; `lifecycle` changes their state."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Executable, and_, bindparam, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute

from vimeo_api import logs
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.database.prepared import Prepared
from vimeo_api.core.errors import Exists
from vimeo_api.core.files import file_names
from vimeo_api.extensions import settings


class NewFile(NamedTuple):
    """A file to add, once its bytes are durable."""

    surface: str
    key: str
    blob: str
    name: str
    size: int
    content_type: str | None = None
    digest: str | None = None
    queue: str | None = None
    password_hash: str | None = None
    source_url: str | None = None  # the bytes are still to be fetched from there
    joined_keys: str | None = None  # the bytes are still to be joined from these streams
    expected_sha256: str | None = None
    expires_at: datetime | None = None
    token_id: int | None = None  # of the API token that uploaded it
    manage_digest: str | None = None  # of the key in its manage URL
    notify_url: str | None = None  # gets the receipts
    pending: bool = False  # its bytes are in the pending area and are still to be placed
    store: str = "filesystem"  # where its bytes are once they are not pending
    downloads: int = 1  # how often it can be downloaded, if it is a one-time file
    modified: int | None = None  # when its bytes were written, in seconds since 1970


class Entry(NamedTuple):
    """A file as read from its row: all that decisions need. It is a tuple: making a frozen dataclass took 4 µs more."""

    id: int
    surface: str
    key: str
    blob: str
    name: str
    size: int
    content_type: str | None
    digest: str | None
    queue: str | None
    password_hash: str | None
    created_at: datetime
    status: str
    due_at: datetime | None
    pending: bool
    place_due_at: datetime | None
    store: str
    modified: int | None
    host: str | None
    lease_token: str | None
    responses: int
    spans: str
    leased_at: datetime | None
    lease_host: str | None
    expires_at: datetime | None
    delivered_at: datetime | None
    removed_at: datetime | None
    expired_at: datetime | None
    purged_at: datetime | None
    attempts: int
    source_url: str | None
    joined_keys: str | None
    expected_sha256: str | None
    received: int
    total: int | None
    failure: str | None
    error: str | None
    token_id: int | None
    downloads: int
    slots: str

    @property
    def expired(self) -> bool:
        """Whether it has expired; its status may not say so yet."""
        return self.expires_at is not None and self.expires_at <= now()

    @property
    def stored(self) -> bool:
        """Whether its bytes are there, taken or not."""
        return self.status in {Status.AVAILABLE, Status.LEASED}

    @property
    def in_pending_area(self) -> bool:
        """Whether it has a copy in the pending area of a host, which only that host can remove."""
        return self.pending or self.place_due_at is not None


COLUMNS = tuple(getattr(File, name) for name in Entry._fields)
_GIVEN = (*NewFile._fields, "folded_name", "created_at", "status", "due_at", "place_due_at", "host")
_BEGINS = {"received": 0, "responses": 0, "attempts": 0, "resumed": False}
# Built once: building it each time took half of the Python time of a small PUT (docs/decisions/0011).
_ADD = Prepared(
    statements.insert_new(File).values({name: bindparam(name) for name in _GIVEN} | _BEGINS).returning(File.id)
)
_FIND = Prepared(select(*COLUMNS).where(File.surface == bindparam("surface"), File.key == bindparam("key")))


def add(*files: NewFile) -> None:
    """Add the rows of files, all or none: a file with a source is a job for workers, any other is available.

    Raises Exists if the surface already has one of the keys.
    """
    moment = now()
    rows = [_row(file, moment) for file in files]
    if len(rows) == 1:
        added = _ADD.row(rows[0])
        _note(files, {files[0].key: added[0]} if added else _check_ours(files, moment))
        return
    # Of several rows ON CONFLICT DO NOTHING would add some. What is there already nearly always shows here, which keeps
    # the error out of PostgreSQL's log.
    if taken := find_all(files[0].surface, [file.key for file in files]):
        raise Exists(f"{next(iter(taken))} exists")
    several = insert(File).values([row | _BEGINS for row in rows]).returning(File.key, File.id)
    try:
        ids = {row.key: row.id for row in statements.rows(several)}
    except IntegrityError:
        ids = _check_ours(files, moment)
    _note(files, ids)


def _note(files: Sequence[NewFile], ids: Mapping[str, int]) -> None:
    for file in files:
        action = "fetch requested" if file.source_url else "join requested" if file.joined_keys else "uploaded"
        size = file.size if action == "uploaded" else None
        logs.note(action, surface=file.surface, file=ids.get(file.key), bytes=size)


def _check_ours(files: Sequence[NewFile], moment: datetime) -> dict[str, int]:
    """Return the ids of rows that are ours: the server committed them, but the connection broke before we knew.

    Raises Exists if they are not.
    """
    there = find_all(files[0].surface, [file.key for file in files])
    others = [file for file in files if not _is_row_of(there.get(file.key), file, moment)]
    if others:
        taken = next((file for file in others if file.key in there), others[0])
        raise Exists(f"{taken.key} exists")
    return {key: entry.id for key, entry in there.items()}


def _row(file: NewFile, moment: datetime) -> dict[str, Any]:
    is_job = file.source_url is not None or file.joined_keys is not None
    return {
        **file._asdict(),
        "folded_name": file_names.folded(file.name),
        "created_at": moment,
        "status": Status.FETCHING if is_job else Status.AVAILABLE,
        "due_at": moment if is_job else None,
        "place_due_at": moment if file.pending else None,
        "host": settings.host_name if file.pending else None,
    }


def _is_row_of(entry: Entry | None, file: NewFile, moment: datetime) -> bool:
    return entry is not None and (entry.blob, entry.created_at) == (file.blob, moment)


def find(surface: str, key: str) -> Entry | None:
    """Return the file with a key, including one that is gone if its row still exists."""
    row = _FIND.row({"surface": surface, "key": key})
    return Entry(*row) if row else None


def by_blob(surface: str, blob: str) -> Entry | None:
    """Return the file that was given these bytes, gone or not."""
    return first(select(*COLUMNS).where(File.surface == surface, File.blob == blob))


def by_id(file_id: int) -> Entry | None:
    """Return the file with an id, unless its row has been deleted."""
    return first(select(*COLUMNS).where(File.id == file_id))


def set_manage_digest(file_id: int, manage_digest: str) -> None:
    """Give a file another manage URL."""
    statements.execute(update(File).where(File.id == file_id).values(manage_digest=manage_digest))


def managed(manage_digest: str) -> Entry | None:
    """Return the file with a manage URL, unless it is gone and its key is free again."""
    return first(select(*COLUMNS).where(File.manage_digest == manage_digest, File.key.is_not(None)))


def forget_notify_url(*file_ids: int) -> None:
    """Record that no more receipts are to be sent about files."""
    statements.execute(update(File).where(statements.among(File.id, file_ids)).values(notify_url=None))


def tell_slots(file_id: int, used: int) -> None:
    """Record that there are receipts of this many used-up slots."""
    statements.execute(update(File).where(File.id == file_id).values(slots_told=used))


def find_all(surface: str, keys: Sequence[str]) -> dict[str, Entry]:
    """Return the files that exist, by key."""
    wanted = select(*COLUMNS).where(File.surface == surface, statements.among(File.key, set(keys)))
    return {entry.key: entry for entry in entries(wanted)}


def first(statement: Executable) -> Entry | None:
    """Return the first entry of a statement that returns COLUMNS."""
    row = statements.row(statement)
    return Entry(*row) if row else None


def entries(statement: statements.Query) -> list[Entry]:
    """Return all entries of a query for COLUMNS."""
    return [Entry(*row) for row in statements.rows(statement)]


def in_doubt() -> list[Entry]:
    """Return all one-time files in doubt or with slots in doubt, the oldest first."""
    doubtful = or_(File.status == Status.IN_DOUBT, and_(File.doubtful > 0, File.status != Status.GONE))
    return entries(select(*COLUMNS).where(doubtful).order_by(File.id))


def live_blobs(surface: str, blobs: Sequence[str], *conditions: ColumnElement[bool]) -> set[str]:
    """Return which of the blobs are needed by a file that is not gone and meets the conditions."""
    live = (File.surface == surface, File.status != Status.GONE, *conditions)
    needed = select(File.blob).where(statements.among(File.blob, blobs), *live)
    return {row.blob for row in statements.rows(needed)}


def put_off(
    *due: ColumnElement[bool], order: InstrumentedAttribute[Any], limit: int, values: Mapping[str, Any]
) -> list[int]:
    """Set `values`, which put off the first due files, and return their ids.

    If several callers do this at once, each file goes to one of them. It takes two statements: with one, PostgreSQL
    runs the inner SELECT for every row if it expects few due rows.
    """
    first = statements.rows(select(File.id).where(*due).order_by(order).limit(limit))
    if not first:
        return []
    these = statements.among(File.id, [row.id for row in first])
    return [row.id for row in statements.rows(update(File).where(these, *due).values(**values).returning(File.id))]


def in_pending_area() -> ColumnElement[bool]:
    """Return the condition that a file has a copy in the pending area of a host, which only that host can remove."""
    return or_(File.pending, File.place_due_at.is_not(None))


def alive() -> ColumnElement[bool]:
    """Return the condition that a file has not expired."""
    return or_(File.expires_at.is_(None), File.expires_at > now())
