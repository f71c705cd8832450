"""What only the service can see: its rows, folders and journals; and how to move its clock forward.

A service of several hosts is seen from each of them: rows and store from the first, spool and journal from every one.
"""

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import func, or_, select, text, update

from tests.chaos.killer import hosts, parts
from tests.services import Service
from vimeo_api import config
from vimeo_api.app import create_app
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import Attempt, File, Status, Upload
from vimeo_api.core.deliveries.lines import Sent
from vimeo_api.core.maintenance import reconciliation
from vimeo_api.core.maintenance.reconciliation import Finding
from vimeo_api.core.storage.mount_check import NAME
from vimeo_api.extensions import blobs, db, settings

PIECE = 1024**2
KEPT = (Status.AVAILABLE, Status.LEASED, Status.IN_DOUBT)
LINE_START = '{"ticket":'
_apps: list[Flask] = []  # of each host, while `inside`


@contextmanager
def inside(service: Service) -> Iterator[None]:
    """Enter an app with the settings of the running service for the length of the block."""
    if service.profile == "embedded":
        environs = [{"DATA_DIR": str(service.data), "PROFILE": "embedded"}]
    elif service.profile == "production":
        environs = [_environ(parts(service)["beat"][0].pid)]
    else:
        environs = [_environ(found["placer"][0].pid) for found in hosts(service).values() if "placer" in found]
    _apps[:] = [create_app(config.load(environ)) for environ in environs]
    try:
        with _apps[0].app_context():
            yield
    finally:
        for _ in _everywhere():
            db.engine.dispose()
        _apps.clear()


def _environ(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def _everywhere() -> Iterator[Flask]:
    """Enter the app of each host in turn."""
    for app in _apps:
        with app.app_context():
            yield app


def let_time_pass() -> None:
    """Make all later work due now, as if a long time had passed; running fetches keep their claim."""
    idle = or_(File.status != Status.FETCHING, File.lease_token.is_(None))
    statements.execute(update(File).where(File.due_at > now(), idle).values(due_at=now()))
    statements.execute(update(File).where(File.place_due_at > now()).values(place_due_at=now()))
    statements.execute(update(Upload).where(Upload.expires_at > now()).values(expires_at=now()))


def unsettled() -> dict[str, int]:
    """Return how many rows wait for work, by its kind."""
    conditions = {
        "fetching": File.status == Status.FETCHING,
        "leased": File.status == Status.LEASED,
        "to be purged": (File.status == Status.GONE) & File.purged_at.is_(None),
        "to be placed": File.place_due_at.is_not(None) | (File.pending & (File.status != Status.GONE)),
    }
    counts = {what: _count(select(func.count()).select_from(File).where(which)) for what, which in conditions.items()}
    counts["unfinished"] = _count(select(func.count()).select_from(Upload).where(Upload.answer_status.is_(None)))
    return {what: number for what, number in counts.items() if number}


def _count(statement: statements.Query) -> int:
    row = statements.row(statement)
    return int(row[0]) if row else 0


def orphans() -> Iterator[tuple[str, str]]:
    """Yield digest and path of bytes in store and pending area that have no row."""
    known = {(row.surface, row.blob) for row in statements.rows(select(File.surface, File.blob))}
    for surface, blob in _objects() - known:
        yield _digest(blobs.objects.open(surface, blob)), f"object {surface} {blob}"
    pending = [path for _ in _everywhere() for path in _files(blobs.pending)]
    for path in (*_files(settings.store_dir), *pending):
        if path not in blobs.filesystem.drafts() and (path.parents[1].name, path.name) not in known:
            yield _digest(path.open("rb", buffering=0)), str(path)


def reconcile() -> tuple[Counter[str], list[Finding]]:
    """Reconcile as if a day had passed since the last write; return what was repaired, by kind, and what cannot be."""
    mended: Counter[str] = Counter()
    remaining = []
    for _ in _everywhere():
        for finding in reconciliation.findings(age=-1, sample=sys.maxsize):
            if finding.repair is None:
                remaining.append(finding)
            else:
                finding.repair()
                where = finding.about.partition("/")[0]
                mended[f"{finding.kind} ({where})" if finding.kind == "orphan" else finding.kind] += 1
    return mended, remaining


def damage() -> Iterator[str]:
    """Yield what SQLite finds wrong with its file."""
    if db.engine.dialect.name == "sqlite":
        yield from (row[0] for row in statements.rows(text("PRAGMA integrity_check")) if row[0] != "ok")


def rows_without_bytes(digests: set[str]) -> Iterator[str]:
    """Yield a sentence for each file whose bytes are missing, short, or not what a client sent."""
    columns = (File.surface, File.key, File.blob, File.size, File.pending, File.store)
    for row in statements.rows(select(*columns).where(File.status.in_(KEPT))):
        try:
            size, digest = blobs.size(row), _digest(blobs.opened(row))
        except FileNotFoundError:
            yield f"{row.surface} {row.key}: its row has no bytes"
            continue
        if size != row.size:
            yield f"{row.surface} {row.key}: {size} bytes of {row.size}"
        elif digest not in digests:
            yield f"{row.surface} {row.key}: bytes that nobody has sent"


def _digest(content: RawIOBase) -> str:
    with content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _objects() -> set[tuple[str, str]]:
    """Return the objects in the object store, if there is one."""
    if not settings.store_url:
        return set()
    return {(surface, blob) for surface, blobs_ in blobs.objects.old_blobs(-1e9) for blob in blobs_}


def leftovers() -> Iterator[str]:
    """Yield a sentence for each file on disk that no row needs, and each row that should not be there any more."""
    columns = (File.surface, File.blob, File.pending)
    kept = statements.rows(select(*columns).where(File.status.in_(KEPT)))
    for _ in _everywhere():
        promises = settings.spool_dir / ".reserved"  # reservations, which end by themselves
        for path in _files(settings.spool_dir):
            if not {blobs.pending, promises} & {*path.parents}:
                yield f"in the spool: {path.name}"
        needed = {blobs.path(row.surface, row.blob, pending=row.pending) for row in kept}
        known = {*needed, *blobs.filesystem.drafts(), settings.store_dir / NAME}
        for path in {*_files(settings.store_dir), *_files(blobs.pending)} - known:
            yield f"bytes without a row: {path}"
    for surface, blob in _objects() - {(row.surface, row.blob) for row in kept}:
        yield f"an object without a row: {surface} {blob}"
    drafts = blobs.filesystem.drafts()
    for draft in drafts:
        yield f"a draft: {draft}"
    without = select(Attempt.file_id).where(Attempt.file_id.not_in(select(File.id))).distinct()
    for row in statements.rows(without):
        yield f"attempts at file {row.file_id}, which has no row"


def _files(folder: Path) -> Iterator[Path]:
    for at, _, names in os.walk(folder):
        yield from (Path(at) / name for name in names)


@dataclass(frozen=True)
class Delivery:
    """What nginx's journal says about a response with bytes of a one-time file."""

    key: str
    lease_token: str
    span: tuple[int, int]
    complete: bool = True


def in_doubt() -> set[str]:
    """Return the keys of the one-time files in doubt."""
    return {row.key for row in statements.rows(select(File.key).where(File.status == Status.IN_DOUBT))}


def _parsed(line: str) -> dict[str, Any] | None:
    """Return a line of the journal, or the one that follows an incomplete line; None for an incomplete one."""
    try:
        value: dict[str, Any] = json.loads(LINE_START + line.rpartition(LINE_START)[2])
    except ValueError:
        return None
    return value


def journal() -> list[Delivery]:
    """Return the responses with bytes that nginx logged, complete or not; the embedded profile has no journal."""
    if settings.journal is None:
        return []
    keys = {row.id: row.key for row in statements.rows(select(File.id, File.key).where(File.surface == "vimeo"))}
    folders = [settings.journal.parent for _ in _everywhere() if settings.journal]
    paths = [path for folder in folders for path in sorted(folder.iterdir())]
    lines = [line for path in paths for line in path.read_text().splitlines()]
    sent = [found for line in lines if (value := _parsed(line)) and (found := Sent.from_journal(value))]
    return [
        Delivery(keys[entry.ticket.file_id], entry.ticket.lease_token, entry.span, entry.complete)
        for entry in sent
        if entry.span is not None and entry.ticket.file_id in keys
    ]
