"""What the service stands on, and whether it can do its work without; `/readyz` and `/metrics` tell.

Ready means: an upload that comes now can be taken, and a file that is there can be sent. So

    database   needed: it decides every request but those that nginx answers from what it keeps
    journal    needed, where there is one: without it downloads are not confirmed, and files are given out again
    spool      needed: uploads are received there
    store      needed to be read, and to be written where new files are not pending in the spool first
    cache      not needed: a refusal is computed anew
    broker     not needed: the rows say what is due, and it is done once the broker is back
    room       not needed: uploads are refused with 507, while downloads and the deleting that makes room go on
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from vimeo_api.core import broker
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File
from vimeo_api.core.deliveries import journal
from vimeo_api.core.monitoring import probes
from vimeo_api.core.monitoring.probes import Finding, Probe
from vimeo_api.extensions import blobs, cache, mount_check, settings

LEAST_DISK_SPACE = 64 * 1024**2  # bytes; below that journal and database, if they share the disk, are soon stuck too


class _NoRoom(Exception):
    """The disk is as good as full."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something that the service stands on."""

    name: str
    probe: Probe[None]
    needed: bool


@dataclass(frozen=True, slots=True)
class Check:
    """How one dependency is."""

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


def _cache() -> None:
    cache.get("readiness")


def _broker() -> None:
    broker.depths()


def _room() -> None:
    if min(room(folder)[0] for folder in (settings.spool_dir, settings.store_dir)) < LEAST_DISK_SPACE:
        raise _NoRoom


def _write_to(folder: Path) -> None:
    # A file without a name and without bytes, for which even a full disk has room.
    with tempfile.TemporaryFile(dir=folder):
        pass


def room(folder: Path) -> tuple[int, int]:
    """Return how many bytes of a folder's filesystem are free for us, and how many it has, statvfs(3)."""
    usage = shutil.disk_usage(folder)
    return usage.free, usage.total


def _dependency(question: Callable[[], None], *, needed: bool, seconds: float) -> Dependency:
    return Dependency(question.__name__.removeprefix("_"), Probe(question, seconds=seconds), needed)


# Each may take so many seconds as a service that works never needs, and whoever asks should wait for one more.
DEPENDENCIES = (
    _dependency(_database, needed=True, seconds=2),
    _dependency(_journal, needed=True, seconds=1),
    _dependency(_spool, needed=True, seconds=2),
    _dependency(_store, needed=True, seconds=2),
    _dependency(_cache, needed=False, seconds=0.5),
    _dependency(_broker, needed=False, seconds=1),
    _dependency(_room, needed=False, seconds=1),
)


def checks() -> list[Check]:
    """Ask all dependencies at once, each within its own time."""
    listed = [one for one in DEPENDENCIES if one.name != "journal" or settings.journal is not None]
    findings = probes.ask({one.name: one.probe for one in listed})
    return [Check(one.name, one.needed, findings[one.name]) for one in listed]


def ready(found: Iterable[Check]) -> bool:
    """Return whether all that is needed is there."""
    return all(check.finding.ok for check in found if check.needed)
