"""SHA-256 digests of files whose upload needs none: small files at once, others later by `tasks.digest`.

The row states the intent: an available file without a digest is due, and a partial index finds it. So uploads of large
files do nothing for it, and a lost message does not matter. One worker at a time does this. It holds a lock and marks
no rows, so the digest is the only write. Bytes never change, so a digest stays right whatever happens to the row.
"""

import hashlib
import logging
import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from sqlalchemy import case, select, text, update

from vimeo_api.core.clock import now
from vimeo_api.core.database import shared_locks, statements
from vimeo_api.core.database.models import UNDIGESTED, File
from vimeo_api.core.database.statements import AnyRow
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.extensions import blobs, settings

AT_ONCE_BYTES = 128 * 1024  # the largest file that its upload digests
DIGEST_BATCH = 100  # files per statement
BATCH_SECONDS = 1  # then the digests so far are written to the database
UNREADABLE_RETRY = timedelta(hours=1)  # for bytes that cannot be read

_log = logging.getLogger(__name__)


def of_small(staging: Staging) -> str | None:
    """Return the digest of a small staged file, else None: it takes 0.1 ms here, and five times that in a worker."""
    if not settings.digests or (size := staging.size) > AT_ONCE_BYTES:
        return None
    return f"sha256:{hashlib.sha256(os.pread(staging.descriptor, size, 0)).hexdigest()}"


def ready(moment: Any) -> tuple[Any, ...]:
    """Return the conditions that a file is to be digested at a moment."""
    # Not `due_at IS NULL OR …`: SQLite would use the index on `due_at`, which has nearly all files.
    put_off = File.due_at > moment
    # Placing gives a pending file its digest.
    return text(UNDIGESTED), put_off.is_not(True), File.pending.is_(False)


def due() -> bool:
    """Return whether there are files to digest and no worker is doing it."""
    if not settings.digests:
        return False
    with _alone() as alone:
        return alone and bool(_undigested(1))


def record(*, seconds: float) -> int:
    """Digest files, the oldest first, and return how many; start none after `seconds`.

    Does nothing while another worker does this. Safe to kill: digests that were not stored are computed again.
    """
    deadline = time.monotonic() + seconds
    recorded = 0
    with _alone() as alone:
        while alone and time.monotonic() < deadline and (files := _undigested(DIGEST_BATCH)):
            recorded += _record(files, min(deadline, time.monotonic() + BATCH_SECONDS))
    return recorded


def _alone() -> AbstractContextManager[bool]:
    return shared_locks.tried("digests")


def _undigested(limit: int) -> Sequence[AnyRow]:
    columns = (File.id, File.surface, File.blob, File.size, File.pending, File.store)
    wanted = select(*columns).where(*ready(now()))
    return statements.rows(wanted.order_by(File.id).limit(limit))


def _record(files: Sequence[AnyRow], deadline: float) -> int:
    """Digest at least one of the files, and continue until the deadline."""
    found: dict[int, str] = {}
    for file in files:
        try:
            with blobs.opened(file) as content:
                found[file.id] = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
        except (OSError, Unavailable) as error:
            _put_off(file, error)
        if time.monotonic() >= deadline:
            break
    if not found:
        return 0
    known = update(File).where(statements.among(File.id, found), File.digest.is_(None))
    return statements.execute(known.values(digest=case(found, value=File.id)))


def _put_off(file: AnyRow, error: OSError | Unavailable) -> None:
    """Put off a file that cannot be read; nothing to do if it cannot be read because it is gone."""
    later = update(File).where(File.id == file.id, text(UNDIGESTED)).values(due_at=now() + UNREADABLE_RETRY)
    if statements.execute(later):
        _log.warning("no digest for file %d: %s", file.id, error)
