"""The tables, and the words that the whole project uses.

File      what a client uploaded under one surface: a row here and, until it is purged, bytes in the store.
digest    the hash of a file's content, as `sha256:` and hexadecimal digits; the surface `store` keys by it.
queue     streams in the order of their creation; who takes the first one holds a lease on it.
surface   which of the HTTP dialects owns the file; surfaces do not see each other's files.
key       how clients name the file within its surface; it stands in the link.
blob      the random name of the bytes on disk, never used again for other bytes.
lease     the exclusive right to download a one-time file; it ends by confirmation, by being given back, or by time.
token     `lease_token` proves who holds a file: a downloader's lease (its *resume token*, X-Download-Grant in HTTP),
          a consumer's hold on a stream (its *receipt*), or a worker's hold on a fetch (its *claim*).
response  one response with bytes under a lease; `responses` counts them, so that each has a number of its own.
in doubt  a one-time file that may have been downloaded, though the line that says so is lost; its owner decides.
attempt   a response that has ended, whether complete or not, as the owner is shown it.
journal   what nginx writes down about every response: the evidence for confirming or giving back.
fetch     a worker's job of getting the bytes of a URL; it renews its claim while it works.
pending   a file whose bytes still lie in the pending area of the spool, because the store is another filesystem;
          placing copies them over.
API token what a client shows to be let in where tokens are required; files remember with which they were stored.
purge     removing the bytes of a file that is gone; the row stays, so that its link says 410 and not 404.
stats     how many files there are of each kind, counted by a worker now and then.
counter   how often something has happened, and when last, counted by all processes together.
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
    """Where a file is in its life; `lifecycle.Move` lists the ways between."""

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


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite forgets the zone, so it is put back on reading."""

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


# What `digests` looks for. Literally, so that both databases see that the index holds it.
UNDIGESTED = "digest IS NULL AND status = 'available'"

# SQLite numbers rows by itself only where the column is an INTEGER.
Serial = BigInteger().with_variant(Integer, "sqlite")


class File(Base):
    """One uploaded file."""

    __tablename__ = "files"
    __table_args__ = (
        UniqueConstraint("surface", "key"),
        Index("ix_files_surface_blob", "surface", "blob"),
        Index("ix_files_queue", "queue", "id"),
        Index(
            "ix_files_place_due_at",
            "place_due_at",
            postgresql_where=text("place_due_at IS NOT NULL"),
            sqlite_where=text("place_due_at IS NOT NULL"),
        ),
        Index(
            "ix_files_expires_at",
            "expires_at",
            postgresql_where=text("expires_at IS NOT NULL"),
            sqlite_where=text("expires_at IS NOT NULL"),
        ),
        Index(
            "ix_files_token",
            "token_id",
            "size",
            postgresql_where=text("token_id IS NOT NULL"),
            sqlite_where=text("token_id IS NOT NULL"),
        ),
        Index("ix_files_undigested", "id", postgresql_where=text(UNDIGESTED), sqlite_where=text(UNDIGESTED)),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    surface: Mapped[str] = mapped_column(String(16))
    key: Mapped[str | None] = mapped_column(String(255))  # None once removed, for then the key is free again
    blob: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(255))
    folded_name: Mapped[str | None] = mapped_column(Text)  # as it is searched; None of old rows that are gone
    size: Mapped[int] = mapped_column(BigInteger)  # bytes
    content_type: Mapped[str | None] = mapped_column(String(127))  # None: as the name suggests
    digest: Mapped[str | None] = mapped_column(String(160))
    queue: Mapped[str | None] = mapped_column(String(128))
    password_hash: Mapped[str | None] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Whose quota the bytes count for, until they are purged. Tokens are never deleted, so no foreign key is checked.
    token_id: Mapped[int | None] = mapped_column(BigInteger)

    status: Mapped[str] = mapped_column(String(16))
    # What must happen next is given by `status`, and when by `due_at`: a lease ends, the bytes are purged, or a digest
    # that could not be made is tried again.
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    lease_token: Mapped[str | None] = mapped_column(String(32))
    responses: Mapped[int] = mapped_column(Integer, default=0)
    spans: Mapped[str] = mapped_column(Text, server_default="")  # which bytes have left how often; `budget` reads it
    leased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when the lease was taken under its token
    # The bytes lie in the pending area; whether they do or not, what is left to do about that is due then.
    pending: Mapped[bool] = mapped_column(default=False, server_default=false())
    place_due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # The holder has shown its resume token again, so it downloads in ranges, several at once perhaps.
    resumed: Mapped[bool] = mapped_column(default=False)
    # Of a file that is fetched: where from ("" once that is over), what it must be, how far it is, and why it failed.
    source_url: Mapped[str | None] = mapped_column(Text)
    joined_keys: Mapped[str | None] = mapped_column(Text)  # of a join: the keys of its streams, as JSON; [] once done
    expected_sha256: Mapped[str | None] = mapped_column(String(64))
    received: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # bytes
    total: Mapped[int | None] = mapped_column(BigInteger)  # bytes, once the origin has said
    failure: Mapped[str | None] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(String(255))
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # gone from then on, whatever `status` says yet
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    purged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Token(Base):
    """What lets its holder do some things, where tokens are required."""

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
    """A response with bytes of a one-time file, once it has ended; kept as long as the file's row."""

    __tablename__ = "download_attempts"

    file_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    response: Mapped[int] = mapped_column(Integer, primary_key=True)
    begun_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # None: the report did not say
    ended_at: Mapped[datetime] = mapped_column(UtcDateTime)
    start: Mapped[int] = mapped_column(BigInteger)  # the first byte that was sent
    sent: Mapped[int] = mapped_column(BigInteger)  # bytes
    complete: Mapped[bool] = mapped_column()  # all that was to be sent was


class QueuedFetch(Base):
    """Who asked for a fetch that waits or runs; `fetching.turns` shares the workers out by it."""

    __tablename__ = "queued_fetches"

    file_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    client: Mapped[str] = mapped_column(String(64))  # its API token, else its address
    origin: Mapped[str] = mapped_column(String(255))  # the host in its URL


class JournalFile(Base):
    """How far a file of the journal has been read; rotation renames it, so its first line names it."""

    __tablename__ = "journal_files"

    first_line: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256, hexadecimal
    offset: Mapped[int] = mapped_column(BigInteger)  # bytes
    read_at: Mapped[datetime] = mapped_column(UtcDateTime)


class JournalLoss(Base):
    """A moment up to which lines of the journal may have been lost; `losses` notes them."""

    __tablename__ = "journal_losses"

    cause: Mapped[str] = mapped_column(String(64), primary_key=True)
    noted_at: Mapped[datetime] = mapped_column(UtcDateTime)  # the last time


class Counter(Base):
    """How often something has happened; `counters` counts."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
    noted_at: Mapped[datetime] = mapped_column(UtcDateTime)  # the last time


class LastFileStats(Base):
    """What the last count of all files has found: one row; `file_stats` counts."""

    __tablename__ = "last_census"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)  # the next one
    groups: Mapped[list[Any]] = mapped_column(JSON)
