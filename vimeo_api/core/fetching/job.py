"""The job of fetching a URL into a file: the row says how far it is, and whoever holds its claim works on it.

    fetching → available | failed

A claim is a token in the row that its holder renews every second; one that is not renewed lapses, and the sweep lets
another worker go on from what is on disk. Who finds the partial file unlocked that a holder has signed knows it to be
dead, and its claim is free at once (`leftovers`). Of a holder on another host with a spool of its own nobody can know
that: its claim lapses by time, and all is fetched anew here. Cancelling takes the row away from the claim.
"""

import logging
import math
import time
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update

from vimeo_api.core import identifiers
from vimeo_api.core.access import api_tokens
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import Failure, File, Status
from vimeo_api.core.errors import DigestMismatch, PipelineError, QuotaExceeded, StorageFull, TooLarge, Unavailable
from vimeo_api.core.fetching import client, recovery
from vimeo_api.core.fetching.partial_file import Busy, PartialFile
from vimeo_api.core.fetching.session import Limits
from vimeo_api.core.fetching.ssrf import AddressRefused, OriginError, OriginTooSlow, UrlRefused
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import COLUMNS, Entry
from vimeo_api.core.storage import blobs
from vimeo_api.extensions import settings

CLAIM_SECONDS = 20  # without a sign of life, another worker takes over
RENEW_SECONDS = 1
REVIVE_SECONDS = 60  # between two calls for a worker
SLOWEST_DISK = 4 * 1024**2  # bytes per second, for the digest and the fsync at the end
MAX_ATTEMPTS = 20  # claims in a row that got no further; a fetch that kills its worker every time must end

_log = logging.getLogger(__name__)

_KINDS: tuple[tuple[type[PipelineError], Failure], ...] = (
    (AddressRefused, Failure.ADDRESS),
    (UrlRefused, Failure.REFUSED),
    (OriginTooSlow, Failure.SLOW),
    (OriginError, Failure.ORIGIN),
    (TooLarge, Failure.TOO_LARGE),
    (QuotaExceeded, Failure.TOO_LARGE),
    (StorageFull, Failure.FULL),
    (DigestMismatch, Failure.MISMATCH),
    (client.Cancelled, Failure.CANCELLED),
)


def run(file_id: int) -> None:
    """Fetch the file of a row, if it still waits for that and nobody else is at it; write down how it ended."""
    row = statements.row(select(File.surface, File.blob).where(File.id == file_id, File.status == Status.FETCHING))
    if row is None:
        return
    token = identifiers.random_hex()
    try:
        with PartialFile(row.surface, row.blob) as partial:
            dead = partial.claim
            partial.sign(token)  # before we claim, so that no claim of ours can be unknown once we are dead
            entry = _claim(file_id, token, dead=dead)
            if entry is not None:
                _work(entry, token, partial)
            recovery.clear(partial)
    except Busy:
        _log.info("fetch of file %d: still being written by another worker", file_id)
        _wait_for_holder(file_id, token)
    except StorageFull as error:  # no room for the partial file's name
        if _claim(file_id, token):
            _fail(file_id, token, Failure.FULL, str(error))


def call_again() -> None:
    """Let the next sweep call for a worker for every fetch that has none.

    Calls that a worker had in its hands when it died are lost, so whoever follows it says this.
    """
    waiting = update(File).where(File.status == Status.FETCHING, File.lease_token.is_(None))
    statements.changed(waiting.values(due_at=now()))


def revive(limit: int) -> list[int]:
    """Return the ids of rows that wait for a worker and have none, and put the next call for one off."""
    due = (File.status == Status.FETCHING, File.due_at <= now())
    values = {"lease_token": None, "due_at": now() + timedelta(seconds=REVIVE_SECONDS)}
    return catalog.claim(*due, order=File.due_at, limit=limit, values=values)


def progress(entry: Entry) -> dict[str, Any]:
    """Return state, bytes so far and in all, bytes per second, seconds left and error of a fetch."""
    seconds = max((now() - entry.created_at).total_seconds(), 0.001)
    rate = entry.received / seconds if entry.status == Status.FETCHING else None
    left = None
    if rate and entry.total:
        left = math.ceil((entry.total - entry.received) / rate)
    return {
        "state": Status.AVAILABLE if entry.status == Status.LEASED else entry.status,
        "bytes": entry.received,
        "total": entry.total,
        "rate": None if rate is None else round(rate),
        "seconds_left": left,
        "failure": entry.failure,
        "error": entry.error,
    }


def cancel(file_id: int) -> bool:
    """Stop a fetch, whoever works on it; return whether there was one to stop."""
    cancelled = (
        update(File)
        .where(File.id == file_id, File.status == Status.FETCHING)
        .values(status=Status.FAILED, failure=Failure.CANCELLED, error="Cancelled.", lease_token=None, due_at=None)
    )
    return statements.changed(cancelled) == 1


def _claim(file_id: int, token: str, *, dead: str | None = None) -> Entry | None:
    """Take the claim if nobody has it, it has lapsed, or it is the one of a holder that is known to be dead."""
    free = or_(File.lease_token.is_(None), File.due_at <= now(), File.lease_token == dead)
    row = statements.row(
        update(File)
        .where(File.id == file_id, File.status == Status.FETCHING, free)
        .values(
            lease_token=token,
            due_at=now() + timedelta(seconds=CLAIM_SECONDS),
            attempts=File.attempts + 1,
        )
        .returning(*COLUMNS)
    )
    return Entry(*row) if row else None


def _work(entry: Entry, token: str, partial: PartialFile) -> None:
    try:
        if entry.attempts > MAX_ATTEMPTS:
            raise OriginError(f"Given up after {MAX_ATTEMPTS} attempts.")
        _fetch(entry, token, partial)
    except Unavailable as error:
        _log.warning("fetch of file %d is broken off and will be gone on with: %s", entry.id, error)
    except PipelineError as error:
        _fail(entry.id, token, _kind(error), str(error))


def _wait_for_holder(file_id: int, token: str) -> None:
    """Have a fetch asked for again whose file somebody holds who has no claim: not yet, or no longer.

    A worker that is frozen for good does not keep the fetch waiting for ever: each time that it is asked for counts as
    an attempt, however often the message comes.
    """
    soon = now() + timedelta(seconds=CLAIM_SECONDS)
    unclaimed = or_(and_(File.lease_token.is_(None), File.due_at > soon), File.due_at <= now())
    row = statements.row(
        update(File)
        .where(File.id == file_id, File.status == Status.FETCHING, unclaimed)
        .values(lease_token=None, due_at=soon, attempts=File.attempts + 1)
        .returning(File.attempts)
    )
    if row is not None and row.attempts > MAX_ATTEMPTS and _claim(file_id, token):
        _fail(file_id, token, Failure.ORIGIN, "Given up: a worker hangs.")


def _fetch(entry: Entry, token: str, partial: PartialFile) -> None:
    claim = _Claim(entry.id, token, partial)
    fetched = client.fetch(
        entry.source_url or "",
        partial,
        limits=Limits(
            max_bytes=_most(entry),
            total=settings.fetch_seconds,
            idle=settings.fetch_idle_seconds,
        ),
        allow_private=settings.fetch_allow_private,
        connections=settings.fetch_connections,
        progress=claim.progress,
        cancelled=claim.lost,
        resume=partial.version,
    )
    with partial.staging() as staging:
        claim.extend(CLAIM_SECONDS + staging.size / SLOWEST_DISK)
        if entry.expected_sha256 and staging.digest("sha256") != entry.expected_sha256:
            raise DigestMismatch("The bytes have another SHA-256 than the request expects.")
        staging.sync()
        with blobs.locked(entry.surface, entry.blob):
            claim.extend(CLAIM_SECONDS)  # or else another host may have published these bytes already
            blobs.remove(entry.surface, entry.blob)  # left by an attempt that died between the next two lines
            pending = blobs.publish(staging, entry.surface, entry.blob)
            try:
                with api_tokens.charged(entry.token_id, staging.size):
                    kept = _finish(entry.id, token, name=fetched.name, size=staging.size, pending=pending)
            except QuotaExceeded:
                blobs.remove(entry.surface, entry.blob)
                raise
            if not kept:
                blobs.remove(entry.surface, entry.blob)


def _most(entry: Entry) -> int | None:
    """Return how many bytes the file may have: by the setting, and by the quota of whoever wants it."""
    limits = (settings.transfer.max_bytes, api_tokens.left(entry.token_id))
    return min((limit for limit in limits if limit is not None), default=None)


class _Claim:
    """Keeps a claim alive while the bytes come in."""

    def __init__(self, file_id: int, token: str, partial: PartialFile) -> None:
        self._file_id = file_id
        self._token = token
        self._partial = partial
        self._renewed = 0.0
        self._lost = False

    def progress(self, received: int, total: int | None) -> None:
        """Write down how far it is, and so that somebody is at it."""
        advanced = self._partial.checkpoint()
        if not advanced and time.monotonic() - self._renewed < RENEW_SECONDS:
            return
        self._renewed = time.monotonic()
        values = {"received": received, "total": total, "due_at": now() + timedelta(seconds=CLAIM_SECONDS)}
        if advanced:
            values["attempts"] = 0
        self._lost = statements.changed(update(File).where(*_held(self._file_id, self._token)).values(values)) == 0

    def extend(self, seconds: float) -> None:
        """Keep the claim for a while in which nothing comes in. Raises Cancelled when it is lost already."""
        due_at = now() + timedelta(seconds=seconds)
        if not statements.changed(update(File).where(*_held(self._file_id, self._token)).values(due_at=due_at)):
            raise client.Cancelled

    def lost(self) -> bool:
        """Return whether the row is no longer ours, because it was cancelled or taken over."""
        return self._lost


def _finish(file_id: int, token: str, *, name: str, size: int, pending: bool) -> bool:
    values = {
        "status": Status.AVAILABLE,
        "name": identifiers.safe_name(name),
        "size": size,
        "received": size,
        "total": size,
        "lease_token": None,
        "due_at": None,
        "pending": pending,
        "place_due_at": now() if pending else None,
    }
    if statements.changed(update(File).where(*_held(file_id, token)).values(values)) == 1:
        return True
    # It may have been done by a statement whose result got lost; the claim is gone then, and the row tells.
    row = statements.row(select(File.status).where(File.id == file_id))
    return row is not None and row.status == Status.AVAILABLE


def _fail(file_id: int, token: str, failure: Failure, sentence: str) -> None:
    _log.info("fetch of file %d failed: %s", file_id, failure)
    values = {"status": Status.FAILED, "failure": failure, "error": sentence[:255], "lease_token": None, "due_at": None}
    statements.changed(update(File).where(*_held(file_id, token)).values(values))


def _held(file_id: int, token: str) -> tuple[ColumnElement[bool], ...]:
    return (File.id == file_id, File.status == Status.FETCHING, File.lease_token == token)


def _kind(error: PipelineError) -> Failure:
    return next((kind for cause, kind in _KINDS if isinstance(error, cause)), Failure.ORIGIN)
