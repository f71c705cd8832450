"""What the service depends on, and whether it can work without it; `/readyz` and `/metrics` show it.

Ready means: a new upload can be received, and an existing file can be sent. So

    database   needed: it decides every request that nginx does not answer from its cache
    journal    needed, where there is one: without it no download is confirmed, and files are served again
    spool      needed: uploads are received there
    store      needed for reading, and for writing unless new files go to the pending area first
    objects    the object store, where there is one, and whether it takes files; not needed: uploads wait in the spool,
               and what has not been placed yet can be read
    cache      not needed: refusals are computed again
    broker     not needed: the rows say what is due, and it is done once the broker is back
    workers    not needed: the same; that is, beat and a worker for each queue, by their heartbeats
    room       not needed: uploads get 507; downloads work, and so do deletions, which free space
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from vimeo_api.config import ConfigError
from vimeo_api.core import broker
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File
from vimeo_api.core.deliveries import journal
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.files import placing
from vimeo_api.core.monitoring import heartbeats, probes
from vimeo_api.core.monitoring.probes import Finding, Probe
from vimeo_api.core.storage.buckets import Refused
from vimeo_api.extensions import blobs, cache, celery, mount_check, settings

_log = logging.getLogger(__name__)

MIN_FREE_BYTES = 64 * 1024**2  # below that, a journal or database on the same disk will soon be stuck too


class _NoRoom(Exception):
    """The disk is nearly full."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something that the service depends on."""

    name: str
    probe: Probe[None]
    needed: bool


@dataclass(frozen=True, slots=True)
class Check:
    """The state of one dependency."""

    name: str
    needed: bool
    finding: Finding[None]


def _database() -> None:
    statements.row(select(File.id).limit(1))


def _journal() -> None:
    if settings.journal is not None:
        journal.check(settings.journal)


def _spool() -> None:
    _write_to(settings.spool_dir)


def _store() -> None:
    mount_check.check()
    if blobs.uses_pending():
        next(os.scandir(settings.store_dir), None)
    else:
        _write_to(settings.store_dir)


def _objects() -> None:
    blobs.objects.answers()
    if placing.failing():
        raise Unavailable(
            "It answers, but takes no files: it is full, or refuses them. The log of the placer says why."
        )


def _cache() -> None:
    cache.get("readiness")


def _broker() -> None:
    broker.depths()


def _workers() -> None:
    folder, parts = celery.conf.heartbeats_dir, ["beat", *broker.names()]
    if settings.peer_address:  # one of several hosts: only what each host must have, and what this one had before
        parts = [part for part in parts if part in celery.conf.host_queues or heartbeats.was_seen(folder, part)]
    heartbeats.check(folder, parts)


def _room() -> None:
    if min(room(folder)[0] for folder in (settings.spool_dir, settings.store_dir)) < MIN_FREE_BYTES:
        raise _NoRoom


def _write_to(folder: Path) -> None:
    # A file without a name and without bytes: even a full disk has room for it.
    with tempfile.TemporaryFile(dir=folder):
        pass


def check_object_store() -> None:
    """Raise ConfigError if there is an object store and it refuses us. One that is away is no reason not to start."""
    if not settings.store_url:
        return
    try:
        blobs.objects.check_access()
    except Refused as error:
        raise ConfigError(str(error)) from None
    except Unavailable as error:
        _log.warning("files stay in the spool: %s", error)


def room(folder: Path) -> tuple[int, int]:
    """Return the free bytes, for us, and the total bytes of a folder's filesystem, statvfs(3)."""
    usage = shutil.disk_usage(folder)
    return usage.free, usage.total


def _dependency(question: Callable[[], None], *, needed: bool, seconds: float) -> Dependency:
    return Dependency(question.__name__.removeprefix("_"), Probe(question, seconds=seconds), needed)


# The timeouts are generous for a healthy service; probers should allow 1 s more.
DEPENDENCIES = (
    _dependency(_database, needed=True, seconds=2),
    _dependency(_journal, needed=True, seconds=1),
    _dependency(_spool, needed=True, seconds=2),
    _dependency(_store, needed=True, seconds=2),
    _dependency(_objects, needed=False, seconds=2),
    _dependency(_cache, needed=False, seconds=0.5),
    _dependency(_broker, needed=False, seconds=1),
    _dependency(_workers, needed=False, seconds=1),
    _dependency(_room, needed=False, seconds=1),
)


def checks() -> list[Check]:
    """Check all dependencies at once, each with its own timeout."""
    absent = {
        name for name, is_there in (("journal", settings.journal), ("objects", settings.store_url)) if not is_there
    }
    listed = [one for one in DEPENDENCIES if one.name not in absent]
    findings = probes.ask({one.name: one.probe for one in listed})
    return [Check(one.name, one.needed, findings[one.name]) for one in listed]


def ready(found: Iterable[Check]) -> bool:
    """Return whether every needed dependency works."""
    return all(check.finding.ok for check in found if check.needed)
