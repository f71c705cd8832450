"""The tables, and the words that the whole project uses.

File      what a client uploaded under one surface: a row here and, until it is purged, bytes in the store.
digest    the hash of a file's content, as `sha256:` and hexadecimal digits; the surface `store` uses it as the key.
queue     streams in the order of their creation; a consumer that takes the first one holds a lease on it.
surface   the HTTP dialect that owns the file; surfaces do not see each other's files.
key       how clients name the file within its surface; it is part of the link.
blob      the random name of the bytes on disk, never reused for other bytes.
lease     the exclusive right to download a one-time file; it ends by confirmation, by being given back, or by time.
token     `lease_token` proves who holds a file: a downloader's lease (its *resume token*, X-Download-Grant in HTTP),
          a consumer's hold on a stream (its *receipt*), or a worker's hold on a fetch (its *claim*).
mark      a random value that a removal leaves in `lease_token`, so that it knows its own work if its result was lost.
response  one response with bytes under a lease; `responses` counts them, so each has its own number.
span      a part of a file: the first byte, and the one after the last.
spans     in the column, what each response has sent or may be sending; `send_budget` reads and writes it.
budget    how many times each byte of a one-time file may be sent (VIMEO_BUDGET).
grace     the time after a complete download in which its client may resume; then the bytes are due for removal.
in doubt  a one-time file that may have been downloaded, but whose report may be lost; its owner decides.
slot      one of the downloads of a file that can be downloaded several times; `slots` has its states. The columns keep
          the name that it had first, `place`.
attempt   a response that has ended, complete or not, as the owner may see it. The column `attempts` is something else:
          how often a purge or a fetch was tried.
journal   nginx's log with one line per response: the evidence for using a file up or giving its lease back.
fetch     a worker's job of getting the bytes of a URL; it renews its claim while it works.
spool     the folder of uploads and fetches in progress.
pending   a file whose bytes are still in the pending area of the spool, because the store is another filesystem;
          *placing* copies them into the store.
draft     a copy that placing has not finished, in a folder of its own in the store.
host      a machine with a spool, a pending area and a journal of its own; several may serve one database.
manage URL  by which an uploader sees what became of a file, and deletes it.
API token what a client sends to be let in where tokens are required; a file remembers the one that stored it.
upload    a resumable upload: a row, and a *part* on disk with the bytes so far; it becomes a file once it is complete.
receipt   a message to the URL that an uploader named (`notify`), which says what became of a file; the receipt of a
          stream, see `token`, is something else.
purge     removing the bytes of a file that is gone; the row stays, so that its link returns 410 and not 404.
sweep     the task that finds in the rows what is due, now and then, even if messages were lost.
refusal   a 4XX response, which may be cached.
generation a token per file in the cache; a cached refusal is valid only while its file's generation is the same.
stats     how many files there are of each kind, counted by a worker from time to time.
counter   how often something has happened, and when last, for all processes together.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from vimeo_api.extensions import Base


class Status(StrEnum):
    """The states of a file; `lifecycle.Move` lists the moves between states."""

    FETCHING = "fetching"
    FAILED = "failed"
    AVAILABLE = "available"
    LEASED = "leased"
    IN_DOUBT = "in_doubt"
    GONE = "gone"


class Failure(StrEnum):
    """Why a fetch failed."""

    REFUSED = "refused"  # we do not fetch this URL
    ADDRESS = "address"  # the address behind it is not open to clients
    ORIGIN = "origin"  # the origin's fault
    SLOW = "slow"
    TOO_LARGE = "too_large"
    FULL = "full"  # our disk
    SOURCE = "source"  # a stream that was to be joined is gone
    MISMATCH = "mismatch"  # not the SHA-256 that was expected
    CANCELLED = "cancelled"


class ReceiptState(StrEnum):
    """How far a receipt is."""

    WAITING = "waiting"  # for its next try
    DELIVERED = "delivered"
    UNWANTED = "unwanted"  # the receiver answered 410
    FAILED = "failed"  # given up


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite drops the time zone, so it is added on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Hand the database a moment in UTC."""
        del dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the moment with its zone."""
        del dialect
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# What `digests` looks for; as a literal, so that both databases use the index for it.
UNDIGESTED = "digest IS NULL AND status = 'available'"

# What `receipts.outbox` looks for; a literal for the same reason.
OWES_RECEIPTS = "notify_url IS NOT NULL AND (status = 'gone' OR places_used > places_told)"

# SQLite numbers rows itself only if the column is an INTEGER.
Serial = BigInteger().with_variant(Integer, "sqlite")


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Return an index of the rows that meet a condition, which costs the others nothing."""
    return Index(name, *columns, unique=unique, postgresql_where=text(where), sqlite_where=text(where))


class File(Base):
    """One uploaded file."""

    __tablename__ = "files"
    __table_args__ = (
        UniqueConstraint("surface", "key"),
        Index("ix_files_surface_blob", "surface", "blob"),
        _partial("ix_files_queue", "queue", "id", where="queue IS NOT NULL"),
        _partial("ix_files_due_at", "due_at", where="due_at IS NOT NULL"),
        _partial("ix_files_place_due_at", "place_due_at", where="place_due_at IS NOT NULL"),
        _partial("ix_files_expires_at", "expires_at", where="expires_at IS NOT NULL"),
        _partial("ix_files_token", "token_id", "size", where="token_id IS NOT NULL"),
        _partial("ix_files_manage_digest", "manage_digest", where="manage_digest IS NOT NULL", unique=True),
        _partial("ix_files_undigested", "id", where=UNDIGESTED),
        _partial("ix_files_owes", "id", where=OWES_RECEIPTS),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    surface: Mapped[str] = mapped_column(String(16))
    key: Mapped[str | None] = mapped_column(String(255))  # None once removed: the key is free again
    blob: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(255))
    folded_name: Mapped[str | None] = mapped_column(Text)  # for the search; None in old rows that are gone
    size: Mapped[int] = mapped_column(BigInteger)  # bytes
    content_type: Mapped[str | None] = mapped_column(String(127))  # None: the type that the name suggests
    digest: Mapped[str | None] = mapped_column(String(160))
    queue: Mapped[str | None] = mapped_column(String(128))
    password_hash: Mapped[str | None] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # The token whose quota the bytes count against, until they are purged. Tokens are never deleted, so a foreign key
    # would check nothing.
    token_id: Mapped[int | None] = mapped_column(BigInteger)
    manage_digest: Mapped[str | None] = mapped_column(String(64))  # of the key in its manage URL; see `manage_keys`

    status: Mapped[str] = mapped_column(String(16))
    # When something is due; `status` says what. available: another try at a digest that failed. leased: the lease
    # lapses. fetching: the claim lapses, or a fetch that waits may be tried. gone: the bytes are removed.
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(Integer, default=0)  # tries at a purge or a fetch, not `Attempt`s
    lease_token: Mapped[str | None] = mapped_column(String(32))
    responses: Mapped[int] = mapped_column(Integer, default=0)
    spans: Mapped[str] = mapped_column(Text, server_default="")  # how often each byte was sent
    leased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when this token first took the lease
    # The hosts whose journals report the responses of the last lease, with spaces between them.
    lease_host: Mapped[str | None] = mapped_column(Text)
    downloads: Mapped[int] = mapped_column(Integer, default=1, server_default="1")  # how often it can be downloaded
    # With more than one, `slots` replaces `lease_token`, `leased_at` and `resumed`.
    slots: Mapped[str] = mapped_column("places", Text, key="slots", server_default="")
    doubtful: Mapped[int] = mapped_column(Integer, server_default="0")  # how many slots are in doubt
    slots_used: Mapped[int] = mapped_column("places_used", Integer, key="slots_used", server_default="0")
    slots_told: Mapped[int] = mapped_column(  # of how many used-up slots there are receipts
        "places_told", Integer, key="slots_told", server_default="0"
    )
    # `pending`: the bytes are still in the pending area. `place_due_at`: when to copy them, or to remove the pending
    # copy.
    pending: Mapped[bool] = mapped_column(default=False, server_default=false())
    place_due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    host: Mapped[str | None] = mapped_column(String(64))  # that has the pending copy, as long as there is one
    # Where the bytes are once they are not pending: the name of a store, `filesystem` or `s3`.
    store: Mapped[str] = mapped_column(String(16), server_default="filesystem")
    # When the bytes were written, in seconds since 1970, for ETag and Last-Modified. None in old rows: the file knows.
    modified: Mapped[int | None] = mapped_column(BigInteger)
    # The holder has sent its resume token, so it may download several ranges at once.
    resumed: Mapped[bool] = mapped_column(default=False)
    # For fetched files: source ("" once the fetch is over), expected digest, progress, failure.
    source_url: Mapped[str | None] = mapped_column(Text)
    joined_keys: Mapped[str | None] = mapped_column(Text)  # of a join: the keys of its streams, as JSON; [] once done
    expected_sha256: Mapped[str | None] = mapped_column(String(64))
    received: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # bytes
    total: Mapped[int | None] = mapped_column(BigInteger)  # bytes, once the origin has said
    failure: Mapped[str | None] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(String(255))
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # gone from then on, whatever `status` says
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    removed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # by its owner
    expired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # set by the sweep, which clears `expires_at`
    purged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    notify_url: Mapped[str | None] = mapped_column(Text)  # gets the receipts; None once `receipts` has them


class Token(Base):
    """An API token: what its holder may do, where tokens are required."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256, hexadecimal
    scopes: Mapped[str] = mapped_column(Text)  # such as `streams:write *:delete`
    quota: Mapped[int | None] = mapped_column(BigInteger)  # bytes
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Attempt(Base):
    """A response that sent bytes of a one-time file and has ended; kept as long as the file's row."""

    __tablename__ = "download_attempts"

    file_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    response: Mapped[int] = mapped_column(Integer, primary_key=True)
    begun_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # None: the report did not say
    ended_at: Mapped[datetime] = mapped_column(UtcDateTime)
    start: Mapped[int] = mapped_column(BigInteger)  # the first byte that was sent
    sent: Mapped[int] = mapped_column(BigInteger)  # bytes
    complete: Mapped[bool] = mapped_column()  # everything that was to be sent was sent
    slot: Mapped[int | None] = mapped_column(
        "place", Integer, key="slot"
    )  # of a file for several downloads, if it is known


class Receipt(Base):
    """A message to a receiver about a file; kept as long as the file's row. `core.receipts.outbox` writes it."""

    __tablename__ = "receipts"
    __table_args__ = (
        UniqueConstraint("file_id", "event", "number"),
        _partial("ix_receipts_due_at", "due_at", where="due_at IS NOT NULL"),
    )

    message_id: Mapped[str] = mapped_column(String(64), primary_key=True)  # `webhook-id`, the same in every try
    file_id: Mapped[int] = mapped_column(BigInteger)
    event: Mapped[str] = mapped_column(String(16))
    number: Mapped[int] = mapped_column(Integer)  # of the download; 0 for the other events
    body: Mapped[str] = mapped_column(Text)  # JSON
    url: Mapped[str] = mapped_column(Text)  # "" once it is over: a URL may be a secret
    host: Mapped[str] = mapped_column(String(255))
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    happened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # waiting: the next try. failed: forget the URL.
    tried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # the last time
    error: Mapped[str | None] = mapped_column(String(255))  # of the last try


class QueuedFetch(Base):
    """Who asked for a fetch that is waiting or running; `fetching.turns` shares the workers by it."""

    __tablename__ = "queued_fetches"

    file_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    client: Mapped[str] = mapped_column(String(64))  # its API token, else its address
    origin: Mapped[str] = mapped_column(String(255))  # the host in its URL


class Upload(Base):
    """A resumable upload: unfinished, or finished and kept for a while so that its client can ask for the outcome."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index("ix_uploads_token", "token_id"),
        Index("ix_uploads_writer", "writer"),
        _partial("ix_uploads_joined_keys", "host", where="joined_keys IS NOT NULL"),
    )

    key: Mapped[str] = mapped_column(String(32), primary_key=True)  # in its URL, and the name of its part
    surface: Mapped[str] = mapped_column(String(16))  # that the finished file will belong to
    offset: Mapped[int] = mapped_column(BigInteger)  # bytes that are durable
    length: Mapped[int | None] = mapped_column(BigInteger)  # bytes of the whole; None: the client has not said yet
    closed: Mapped[bool] = mapped_column()  # it is complete as soon as the offset reaches the length
    concat: Mapped[str] = mapped_column(Text)  # `Upload-Concat` as sent, "" without one
    described: Mapped[str] = mapped_column(Text)  # `Upload-Metadata` as sent, without secrets
    # What the file gets once it is complete.
    name: Mapped[str] = mapped_column(String(255))
    password_hash: Mapped[str | None] = mapped_column(String(128))
    queue: Mapped[str | None] = mapped_column(String(128))
    expires_in: Mapped[int | None] = mapped_column(BigInteger)  # seconds
    notify_url: Mapped[str | None] = mapped_column(Text)
    downloads: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    expected_digest: Mapped[str | None] = mapped_column(String(160))  # `sha256:` and hexadecimal digits
    token_id: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    host: Mapped[str | None] = mapped_column(String(64))  # that has its part
    writer: Mapped[str | None] = mapped_column(String(32))  # id of the request that may append; others lost their claim
    joined_keys: Mapped[str | None] = mapped_column(Text)  # JSON: partial uploads to be joined; None once they are
    failure: Mapped[str | None] = mapped_column(Text)  # why they could not be: the name of an error, and its sentence
    file_key: Mapped[str | None] = mapped_column(String(255))  # of the file, if a worker has stored it
    # What the surface answered to the finished upload; None until then.
    answer_status: Mapped[int | None] = mapped_column(Integer)
    answer_type: Mapped[str | None] = mapped_column(String(127))
    answer: Mapped[str | None] = mapped_column(Text)
    answer_manage_url: Mapped[str | None] = mapped_column(Text)


class JournalFile(Base):
    """How far a file of the journal was read; rotation renames files, so the first line identifies them."""

    __tablename__ = "journal_files"

    first_line: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256, hexadecimal
    offset: Mapped[int] = mapped_column(BigInteger)  # bytes
    read_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Host(Base):
    """A host of the service; `core.hosts` reads and writes the table."""

    __tablename__ = "hosts"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    address: Mapped[str | None] = mapped_column(String(255))  # where its nginx gives its pending files to other hosts
    joined_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)  # its last sweep
    journal_read_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # its journal is handled up to then


class JournalLoss(Base):
    """A moment up to which lines of a host's journal may have been lost; `losses` records them."""

    __tablename__ = "journal_losses"

    host: Mapped[str] = mapped_column(String(64), primary_key=True, server_default="")  # "" in old rows
    cause: Mapped[str] = mapped_column(String(64), primary_key=True)
    noted_at: Mapped[datetime] = mapped_column(UtcDateTime)  # the last time


class Counter(Base):
    """How often something has happened; `counters` counts."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
    noted_at: Mapped[datetime] = mapped_column(UtcDateTime)  # the last time


class LastFileStats(Base):
    """The result of the last count of all files, in one row; `core.monitoring.file_stats` counts."""

    __tablename__ = "last_census"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)  # the next one
    groups: Mapped[list[Any]] = mapped_column(JSON)
