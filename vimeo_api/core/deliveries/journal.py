"""nginx's delivery journal: one JSON line per response from the internal location, read once and for good.

The offset of every journal file is kept in the database under the digest of its first line, which holds a lease token
and a moment and so names the file through any rename. Lines are handed on before the offset is saved: after a
crash some are read again, which `deliveries` bears. Rotate by renaming and `nginx -s reopen`; compress only files
that are at least a rotation old. Source: nginx, ngx_http_log_module.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import JournalFile
from vimeo_api.core.errors import Unavailable

_log = logging.getLogger(__name__)

BATCH = 64 * 1024  # bytes, some hundred lines
LEAST_SPACE = 1024**2  # bytes, some thousand lines: those of all downloads that are under way

Lines = list[dict[str, Any]]


def read_new(journal: Path, handle: Callable[[Lines], None]) -> None:
    """Hand all complete lines that nobody has handled yet to `handle`, the oldest file first.

    Lines that are not a JSON object are logged and passed over. An error of `handle` leaves the offset alone.
    """
    offsets = _offsets()
    for path in _files(journal):
        try:
            _read_file(path, offsets, handle)
        except FileNotFoundError:
            continue  # rotated away between the listing and here; its new name has its turn


def lag(journal: Path) -> int:
    """Return how many bytes of the journal are not handled yet."""
    offsets = _offsets()
    behind = 0
    for path in _files(journal):
        with suppress(FileNotFoundError), path.open("rb") as file:
            behind += os.fstat(file.fileno()).st_size - offsets.get(_first_line(file) or "", 0)
    return behind


def check(journal: Path) -> None:
    """Raise OSError unless the journal can be read."""
    next(os.scandir(journal.parent), None)
    for path in _files(journal):
        with suppress(FileNotFoundError), path.open("rb") as file:
            file.read(1)


def check_writable(journal: Path) -> None:
    """Raise Unavailable where nginx could not note how a download ends: it would be given out again."""
    if shutil.disk_usage(journal.parent).free < LEAST_SPACE:
        raise Unavailable("The journal's disk is full.")


def _files(journal: Path) -> list[Path]:
    """Return the files of the journal, the oldest first: rotation counts upwards, from `.1` for the newest old one."""
    found = [path for path in journal.parent.glob(f"{journal.name}*") if path.suffix not in {".gz", ".xz", ".zst"}]
    return sorted(found, key=lambda path: (len(path.name), path.name), reverse=True)


def _offsets() -> dict[str, int]:
    return {row.first_line: row.offset for row in statements.rows(select(JournalFile.first_line, JournalFile.offset))}


def _read_file(path: Path, offsets: dict[str, int], handle: Callable[[Lines], None]) -> None:
    with path.open("rb") as file:  # once, for by the next time it may be another file's path
        name = _first_line(file)
        if name is None:
            return
        offset = file.seek(offsets.get(name, 0))
        known = name in offsets
        # In batches, each noted by itself: whoever is stopped in the middle of a long journal keeps what is done.
        while lines := file.readlines(BATCH):
            complete = [line for line in lines if line.endswith(b"\n")]
            handle(list(_parsed(complete)))
            offset += sum(map(len, complete))
            os.fdatasync(file.fileno())  # or a power cut could leave a journal that ends before the offset
            _save(name, offset, known=known)
            known = True
            if len(complete) < len(lines):
                break  # nginx is in the middle of a line


def _first_line(file: BinaryIO) -> str | None:
    line = file.readline()
    return hashlib.sha256(line).hexdigest() if line.endswith(b"\n") else None


def _parsed(lines: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            yield value
        else:
            _log.warning("journal: a line is no JSON object; passed over")


def _save(name: str, offset: int, *, known: bool) -> None:
    if not known:
        try:
            statements.changed(insert(JournalFile).values(first_line=name, offset=offset, read_at=now()))
        except IntegrityError:
            pass  # another reader was first; the later offset wins below
        else:
            return
    statements.changed(
        update(JournalFile)
        .where(JournalFile.first_line == name, JournalFile.offset < offset)
        .values(offset=offset, read_at=now())
    )
