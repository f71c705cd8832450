"""The job that makes a file from a URL or from streams; `tasks.fetch` runs it. The worker with the claim works on it.

    fetching → available | failed

A claim is a token in the row that the worker renews every second. A claim that is not renewed lapses, and the sweep
lets another worker resume from what is on disk (`claims`). A partial file that is signed but not locked shows that its
worker is dead, and the claim is free at once (`recovery`). We cannot see that for a worker on another host with its own
spool: its claim times out, and everything is fetched again here. Cancelling ends the claim.
"""

import logging
import time
from typing import Any

from sqlalchemy import bindparam, select

from vimeo_api.core import identifiers
from vimeo_api.core.access import api_tokens
from vimeo_api.core.database.models import Failure, File, Status
from vimeo_api.core.database.prepared import Prepared
from vimeo_api.core.errors import (
    DigestMismatch,
    NotFound,
    PipelineError,
    QuotaExceeded,
    StorageFull,
    TooLarge,
    Unavailable,
)
from vimeo_api.core.fetching import claims, client, joining, recovery, turns
from vimeo_api.core.fetching.partial_file import Busy, PartialFile
from vimeo_api.core.fetching.session import Limits
from vimeo_api.core.fetching.ssrf import AddressRefused, OriginError, OriginTooSlow, UrlRefused
from vimeo_api.core.files import placing, types_by_content
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.extensions import blobs, in_app, reservations, settings

CLAIM_RENEW_SECONDS = 1
PAUSE_SECONDS = 2  # until a join looks again for what is away: the store, or the host that has a stream
SLOWEST_DISK = 4 * 1024**2  # bytes per second, for the digest and the fsync at the end
MAX_ATTEMPTS = 20  # claims in a row without progress; a fetch that kills its worker every time must end

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
    (NotFound, Failure.SOURCE),
    (client.Cancelled, Failure.CANCELLED),
)

_WAITING = Prepared(select(File.surface, File.blob).where(File.id == bindparam("file"), File.status == Status.FETCHING))


def run(file_id: int) -> list[int]:
    """Fetch the file of a row, unless that is done or another worker has the claim; record how it ended.

    Returns the ids of fetches whose turn has come by that. If it is not the turn of this one, puts it off.
    """
    is_over = False
    found = _WAITING.row({"file": file_id})
    if found is None or turns.wait(file_id):
        return []
    surface, blob = found
    token = identifiers.random_hex()
    entry = None
    try:
        with PartialFile(reservations, surface, blob) as partial:
            dead = partial.claim
            partial.sign(token)  # before we claim: if we die, `recovery` can always match the claim to this file
            entry = claims.claim(file_id, token, dead=dead)
            if entry is None:
                turns.wait(file_id)  # others have begun since we looked; so the next one that ends finds it
            else:
                is_over = _work(entry, token, partial)
            recovery.clear(partial)
    except Busy:
        _log.info("fetch of file %d: still being written by another worker", file_id)
        attempts = claims.reschedule(file_id)
        if attempts is not None and attempts > MAX_ATTEMPTS and claims.claim(file_id, token):
            claims.fail(file_id, token, Failure.ORIGIN, "Given up: a worker hangs.")
    except StorageFull as error:  # no space for the partial file's name
        entry = claims.claim(file_id, token)
        if entry is not None:
            is_over = _out_of_space(entry, token, error)
    # One that waits is in the line itself, and would be called again at once.
    return turns.following(file_id) if is_over else []


def _work(entry: Entry, token: str, partial: PartialFile) -> bool:
    """Work on a fetch; return False if it waits for something."""
    try:
        if entry.attempts > MAX_ATTEMPTS:
            raise OriginError(f"Given up after {MAX_ATTEMPTS} attempts.")
        _fetch(entry, token, partial)
    except Unavailable as error:
        _log.warning("fetch of file %d is interrupted and will resume: %s", entry.id, error)
        if entry.joined_keys is not None:  # a URL may have to be fetched from its first byte again, so its tries count
            claims.wait(entry, token, seconds=PAUSE_SECONDS)
        return False
    except StorageFull as error:
        return _out_of_space(entry, token, error)
    except PipelineError as error:
        claims.fail(entry.id, token, _kind(error), str(error))
    return True


def _out_of_space(entry: Entry, token: str, error: StorageFull) -> bool:
    """Wait for space, or fail if that has taken too long; return whether the fetch has failed."""
    if claims.wait_for_space(entry, token):
        return False
    claims.fail(entry.id, token, Failure.FULL, str(error))
    return True


def _fetch(entry: Entry, token: str, partial: PartialFile) -> None:
    claim = _Claim(entry.id, token, partial)
    if entry.joined_keys is None:
        name = _fetch_url(entry, partial, claim)
    else:
        name = entry.name
        joining.join(entry, partial, progress=claim.progress, cancelled=claim.lost)
    with partial.staging() as staging:
        claim.extend(claims.CLAIM_SECONDS + staging.size / SLOWEST_DISK)
        if entry.expected_sha256 and staging.digest("sha256") != entry.expected_sha256:
            raise DigestMismatch("The bytes have another SHA-256 than the request expects.")
        found = {} if entry.joined_keys is None else _described(staging)
        if settings.place == "through":
            _send(entry, token, staging, claim, {"name": name, **found})
            return
        staging.sync()
        with blobs.locked(entry.surface, entry.blob):
            claim.extend(claims.CLAIM_SECONDS)  # without the claim, another host may already have published these bytes
            blobs.unpublish(entry.surface, entry.blob)  # left by an attempt that died between the next two lines
            pending = blobs.publish(staging, entry.surface, entry.blob)
            counted = max(entry.size, api_tokens.LEAST_CHARGE)
            try:
                with api_tokens.charged(entry.token_id, staging.size, counted=counted):
                    finished = {"size": staging.size, "modified": staging.modified, "pending": pending, **found}
                    kept = claims.finish(entry.id, token, name=name, **finished)
            except QuotaExceeded:
                blobs.unpublish(entry.surface, entry.blob)
                raise
            if not kept:
                blobs.unpublish(entry.surface, entry.blob)


def _send(entry: Entry, token: str, staging: Staging, claim: "_Claim", found: dict[str, Any]) -> None:
    """Do the same with PLACE=through: put the bytes into the store, then finish.

    The object has a name of its own, because a worker that has lost its claim may still be sending another.
    """
    blob = identifiers.random_hex()
    sent = placing.send(staging, entry.surface, blob, digest=found.get("digest"), progress=in_app(claim.hold))
    values = {**found, **sent, "blob": blob, "size": staging.size, "pending": False}
    try:
        with api_tokens.charged(entry.token_id, staging.size, counted=max(entry.size, api_tokens.LEAST_CHARGE)):
            kept = claims.finish(entry.id, token, **values)
    except QuotaExceeded:
        placing.unsend(entry.surface, blob)
        raise
    if not kept:
        placing.unsend(entry.surface, blob)


def _described(staging: Staging) -> dict[str, Any]:
    """Return what is known of a joined stream once its bytes are there; its list of streams has no more use."""
    digest = f"sha256:{staging.digest('sha256')}"
    return {"content_type": types_by_content.detect(staging.head), "digest": digest, "joined_keys": "[]"}


def _fetch_url(entry: Entry, partial: PartialFile, claim: "_Claim") -> str:
    """Fetch the URL of a row into its partial file; return the name that the origin gives."""
    return client.fetch(
        entry.source_url or "",
        partial,
        limits=Limits(
            max_bytes=_most(entry),
            total=settings.fetch_seconds,
            idle=settings.fetch_idle_seconds,
            min_rate=settings.fetch_min_rate,
            rate_seconds=settings.fetch_min_rate_seconds,
        ),
        allow_private=settings.fetch_allow_private,
        connections=settings.fetch_connections,
        progress=claim.progress,
        cancelled=claim.lost,
        resume=partial.version,
        checked=entry.expected_sha256 is not None,
    ).name


def _most(entry: Entry) -> int | None:
    """Return how many bytes the file may have, by the setting and by the quota of its token."""
    left = api_tokens.left(entry.token_id)
    # Its row counts already.
    limits = (settings.transfer.max_bytes, None if left is None else max(0, left + api_tokens.LEAST_CHARGE))
    return min((limit for limit in limits if limit is not None), default=None)


class _Claim:
    """Keeps a claim alive while bytes arrive."""

    def __init__(self, file_id: int, token: str, partial: PartialFile) -> None:
        self._file_id = file_id
        self._token = token
        self._partial = partial
        self._renewed = 0.0
        self._lost = False

    def progress(self, received: int, total: int | None) -> None:
        """Record the progress, which also renews the claim."""
        advanced = self._partial.checkpoint()
        if not advanced and time.monotonic() - self._renewed < CLAIM_RENEW_SECONDS:
            return
        self._renewed = time.monotonic()
        self._lost = not claims.record(self._file_id, self._token, received=received, total=total, advanced=advanced)

    def extend(self, seconds: float) -> None:
        """Keep the claim for `seconds` without progress. Raises Cancelled if it is already lost."""
        if not claims.renew(self._file_id, self._token, seconds=seconds):
            raise client.Cancelled

    def hold(self, _bytes: int) -> None:
        """Keep the claim while bytes are sent to the store."""
        if time.monotonic() - self._renewed >= CLAIM_RENEW_SECONDS:
            self._renewed = time.monotonic()
            claims.renew(self._file_id, self._token, seconds=claims.CLAIM_SECONDS)

    def lost(self) -> bool:
        """Return whether the row is no longer ours, because it was cancelled or taken over."""
        return self._lost


def _kind(error: PipelineError) -> Failure:
    return next((kind for cause, kind in _KINDS if isinstance(error, cause)), Failure.ORIGIN)
