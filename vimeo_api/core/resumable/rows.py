"""The rows of resumable uploads. Each change is one UPDATE whose condition decides who wins.

The offset never says more than is durable: bytes are synced first, then `advance` moves it. Only the request whose id
is the `writer` may advance it, so one that broke off long ago cannot append to what a later one has written.
`services.resumable` and `concatenation` call this, and `adoption` and `joining`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, func, select, update

from vimeo_api.core import hosts
from vimeo_api.core.access.api_tokens import LEAST_CHARGE
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.database.models import Upload as Row
from vimeo_api.core.database.prepared import Prepared
from vimeo_api.core.errors import NotFound
from vimeo_api.extensions import settings


@dataclass(frozen=True, slots=True)
class NewUpload:
    """A resumable upload to add."""

    key: str
    surface: str
    length: int | None
    closed: bool
    concat: str = ""
    described: str = ""
    name: str = ""
    password_hash: str | None = None
    queue: str | None = None
    expires_in: int | None = None
    notify_url: str | None = None
    expected_digest: str | None = None
    token_id: int | None = None
    downloads: int = 1
    joined_keys: str | None = None

    @property
    def is_partial(self) -> bool:
        """Whether it is only a piece, to be joined with others into a file (`Upload-Concat: partial`)."""
        return self.concat == "partial"


@dataclass(frozen=True, slots=True)
class Upload(NewUpload):
    """A resumable upload as read from its row."""

    offset: int = 0
    created_at: datetime | None = None
    expires_at: datetime | None = None
    host: str | None = None
    writer: str | None = None
    failure: str | None = None
    file_key: str | None = None
    answer_status: int | None = None
    answer_type: str | None = None
    answer: str | None = None
    answer_manage_url: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether it is joined from others (`Upload-Concat: final;…`); it takes no bytes of its own."""
        return self.concat.startswith("final")

    @property
    def is_joining(self) -> bool:
        """Whether it is still to become a file, or being made one, from others."""
        return self.joined_keys is not None and not self.is_finished and self.failure is None

    @property
    def is_whole(self) -> bool:
        """Whether all its bytes are here."""
        return self.closed and self.offset == self.length

    @property
    def is_finished(self) -> bool:
        """Whether it has become a file."""
        return self.file_key is not None or self.is_answered

    @property
    def is_answered(self) -> bool:
        """Whether it is known what the surface answers."""
        return self.answer_status is not None


_COLUMNS = tuple(getattr(Row, name) for name in Upload.__dataclass_fields__)
UNFINISHED = and_(Row.answer_status.is_(None), Row.file_key.is_(None))  # not a file yet
_LIVE = select(*_COLUMNS).where(Row.expires_at > bindparam("moment"))
_FIND = Prepared(_LIVE.where(Row.key == bindparam("wanted")))
_OF_WRITER = Prepared(_LIVE.where(Row.writer == bindparam("request")))


def add(new: NewUpload, *, writer: str | None = None, host: str | None = None) -> None:
    """Add the row of an upload, unless there is one; `writer` is the request that may append bytes to it.

    Its bytes lie on this host, if no other is named.
    """
    values = {name: getattr(new, name) for name in NewUpload.__dataclass_fields__}
    values |= {"created_at": now(), "expires_at": _expiry(), "host": host or settings.host_name}
    statements.execute(statements.insert_new(Row).values(**values, offset=0, writer=writer))


def find(key: str) -> Upload | None:
    """Return an upload that has not expired."""
    row = _FIND.row({"wanted": key, "moment": now()})
    return Upload(*row) if row else None


def existing(key: str) -> Upload:
    """Return an upload that has not expired. Raises NotFound."""
    if (upload := find(key)) is None:
        raise NotFound("There is no such upload.")
    return upload


def of_writer(writer: str) -> Upload | None:
    """Return the upload to which a request may append."""
    row = _OF_WRITER.row({"request": writer, "moment": now()})
    return Upload(*row) if row else None


def claim(upload: Upload, writer: str, *, length: int | None, closed: bool) -> bool:
    """Let a request append at the offset that was read, and no other from now on; return whether it is still there.

    `length` and `closed` are what is known from now on. The request has the whole life of an upload for its body.
    """
    unchanged = and_(Row.key == upload.key, Row.offset == upload.offset, Row.answer_status.is_(None))
    return _set(unchanged, writer=writer, length=length, closed=closed, expires_at=_expiry())


def advance(key: str, writer: str, *, start: int, to: int) -> bool:
    """Move the offset over durable bytes; return False if the request has lost its claim."""
    return _set(_claimed(key, writer, start), offset=to, expires_at=_expiry())


def settle(key: str, writer: str, *, start: int, to: int, length: int | None) -> bool:
    """Do the same for the last time, and give up the claim; `length` is what is known from now on."""
    return _set(_claimed(key, writer, start), offset=to, length=length, writer=None, expires_at=_expiry())


def give_up(key: str, writer: str) -> None:
    """Give up a claim without a byte."""
    _set(and_(Row.key == key, Row.writer == writer), writer=None)


def finish(key: str, status: int, media_type: str, body: str, *, manage_url: str | None) -> None:
    """Keep what was answered once the upload had become a file."""
    answered = {"answer_status": status, "answer_type": media_type, "answer": body, "answer_manage_url": manage_url}
    _set(and_(Row.key == key), **answered, notify_url=None, expires_at=_expiry())


def prolong(keys: Sequence[str]) -> None:
    """Let uploads live as long as one that begins now."""
    _set(statements.among(Row.key, keys), expires_at=_expiry())


def note_joined(key: str, offset: int) -> None:
    """Record how many bytes of an upload that is joined from others are durable."""
    _set(and_(Row.key == key), offset=offset)


def note_file(key: str, file_key: str) -> None:
    """Record that the upload has become a file."""
    _set(and_(Row.key == key), file_key=file_key, notify_url=None, expires_at=_expiry())


def forget_joined(key: str) -> None:
    """Record that the uploads are removed from which this one was joined."""
    _set(and_(Row.key == key), joined_keys=None)


def fail(key: str, failure: str) -> None:
    """Record why an upload could not be joined; its bytes are removed."""
    _set(and_(Row.key == key), failure=failure, offset=0)


def to_join(limit: int) -> list[str]:
    """Return the keys of this host's uploads that are to be joined, the oldest first."""
    waiting = (Row.joined_keys.is_not(None), Row.failure.is_(None), Row.expires_at > now(), hosts.here(Row.host))
    found = select(Row.key).where(*waiting).order_by(Row.created_at).limit(limit)
    return [row.key for row in statements.rows(found)]


def remove_expired(key: str) -> None:
    """Remove the row of an upload that has expired, so that its key is free."""
    statements.execute(delete(Row).where(Row.key == key, Row.expires_at <= now()))


def remove(key: str) -> bool:
    """Remove the row; return whether there was one."""
    return statements.execute(delete(Row).where(Row.key == key)) > 0


def remove_of_host(host: str) -> int:
    """Remove the unfinished uploads whose part is on a host; return how many.

    Those that became files there, and whose clients have yet to get the answer, are this host's from now on. The host
    may have died after it stored a file and before it recorded that; files of `store` cannot be told then.
    """
    theirs = (Row.answer_status.is_(None), hosts.means(Row.host, host))
    file = select(File.key).where(File.surface == Row.surface, File.blob == Row.key, File.status != Status.GONE)
    stored = update(Row).where(Row.file_key.is_(None), file.exists(), *theirs)
    statements.execute(stored.values(file_key=file.scalar_subquery()))
    _set(and_(Row.file_key.is_not(None), *theirs), host=settings.host_name)
    return statements.execute(delete(Row).where(Row.file_key.is_(None), *theirs))


def expired() -> list[str]:
    """Return the keys of this host's uploads whose time is over."""
    over = (Row.expires_at <= now(), hosts.here(Row.host))
    return [row.key for row in statements.rows(select(Row.key).where(*over))]


def known(keys: set[str]) -> set[str]:
    """Return which of the keys have a row."""
    return {row.key for row in statements.rows(select(Row.key).where(statements.among(Row.key, keys)))}


def listing() -> list[Upload]:
    """Return the unfinished uploads, the oldest first."""
    found = select(*_COLUMNS).where(UNFINISHED).order_by(Row.created_at)
    return [Upload(*row) for row in statements.rows(found)]


def bytes_of(token_id: int) -> int:
    """Return how many bytes of a token's quota its unfinished uploads will need; they have no file yet.

    A joined upload counts as the partial ones that it is made of.
    """
    size = func.coalesce(Row.length, Row.offset)
    charge = case((size < LEAST_CHARGE, LEAST_CHARGE), else_=size)
    sizes = select(func.coalesce(func.sum(charge), 0))
    row = statements.row(sizes.where(Row.token_id == token_id, UNFINISHED, Row.joined_keys.is_(None)))
    return int(row[0]) if row else 0


def _claimed(key: str, writer: str, start: int) -> ColumnElement[bool]:
    return and_(Row.key == key, Row.writer == writer, Row.offset == start)


def _set(which: ColumnElement[bool], **values: object) -> bool:
    return statements.execute(update(Row).where(which).values(**values)) > 0


def _expiry() -> datetime:
    return now() + timedelta(seconds=settings.unfinished_seconds)
