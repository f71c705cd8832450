"""nginx's delivery journal: one JSON line per response from the internal location; each line is processed once.

The offset in each journal file is kept in the database under the digest of the file's first line, which contains a
lease token and a time and so identifies the file after any rename. Lines are handled before the offset is saved: after
a crash some lines are read twice, which `confirmations` tolerates. Rotate by renaming and `nginx -s reopen`; compress
only files that are at least one rotation old. nginx silently drops a line that the disk has no space for, so space is
allocated beyond the end of the file, for nginx's appends to use. Sources: nginx, ngx_http_log_module; fallocate(2),
FALLOC_FL_KEEP_SIZE.
"""

import ctypes
import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import select, update

from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import JournalFile
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.storage.folders import FULL

_log = logging.getLogger(__name__)

BATCH = 64 * 1024  # bytes, a few hundred lines
LEAST_SPACE = 4 * 1024**2  # bytes, about 16,000 lines: enough for all running downloads
ALLOCATED_SPACE = 2 * LEAST_SPACE  # bytes, so that one allocation lasts for thousands of lines
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE, of linux/falloc.h
_NO_ALLOCATION = {errno.ENOENT, errno.EACCES}
_LONGEST_LINE = 4096  # bytes; nginx writes a few hundred
_WRITE_SECONDS = 0.1  # far more than nginx needs for a line, which it writes by one call
_LINE_START = b'{"ticket":'  # cannot be part of a value: nginx escapes its quotes

Lines = list[dict[str, Any]]


def read_new(journal: Path, handle: Callable[[Lines], None], lost: Callable[[], None] = lambda: None) -> None:
    """Pass all complete lines that were not handled yet to `handle`, the oldest file first.

    Lines that are not a JSON object are logged and skipped. `lost` is called before the lines after a truncated one,
    because nginx may have dropped others. If either raises, the offset is not saved.
    """
    offsets = _offsets()
    for path in _files(journal):
        try:
            _read_file(path, offsets, handle, lost)
        except FileNotFoundError:
            continue  # renamed since it was listed; it is read under its new name


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
    """Raise Unavailable unless nginx can log how a download ends, even if the disk fills up before then.

    Without that line nobody would know whether the file may be downloaded again. If nginx has not created the journal
    yet, or another user owns it, require free disk space instead.
    """
    try:
        _keep_space(journal)
    except OSError as error:
        if error.errno in FULL:
            raise Unavailable("The journal's disk is full.") from error
        if error.errno not in _NO_ALLOCATION:
            raise
        if shutil.disk_usage(journal.parent).free < LEAST_SPACE:
            raise Unavailable("The journal's disk is full.") from error


def check_allocation(journal: Path) -> None:
    """Raise OSError unless the journal's filesystem supports fallocate; a full one passes."""
    with tempfile.TemporaryFile(dir=journal.parent) as file:
        try:
            _allocate(file.fileno(), 0, 1)
        except OSError as error:
            if error.errno not in FULL:
                raise


def is_losing(journal: Path) -> bool:
    """Return whether nginx may be dropping lines now, or has left a truncated last line."""
    with suppress(FileNotFoundError), journal.open("rb") as file:
        facts = os.fstat(file.fileno())
        no_space = facts.st_blocks * 512 - facts.st_size < _LONGEST_LINE
        return (no_space and shutil.disk_usage(journal.parent).free < LEAST_SPACE) or _is_broken_off(file)
    return False


def broken_off(journal: Path) -> list[str]:
    """Return the names of the rotated files that end with a truncated line, after a full disk or a power cut."""
    names = []
    for path in _files(journal):
        if path != journal:
            with suppress(FileNotFoundError), path.open("rb") as file:
                name = _first_line(file)
                if name is not None and _is_broken_off(file):
                    names.append(name)
    return names


def _is_broken_off(file: BinaryIO) -> bool:
    """Return whether a file ends with a truncated line that nginx is not still writing."""
    size = os.fstat(file.fileno()).st_size
    if size == 0 or os.pread(file.fileno(), 1, size - 1) == b"\n":
        return False
    time.sleep(_WRITE_SECONDS)
    return os.fstat(file.fileno()).st_size == size


def _keep_space(journal: Path) -> None:
    """Allocate space for more lines once less than LEAST_SPACE of it is left. Raises OSError."""
    descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        if facts.st_blocks * 512 - facts.st_size < LEAST_SPACE:  # blocks of 512 bytes, stat(2)
            _allocate(descriptor, facts.st_size, ALLOCATED_SPACE)
    finally:
        os.close(descriptor)


def _allocate(descriptor: int, start: int, length: int) -> None:
    """Allocate disk space for bytes of an open file without making it longer. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate64(descriptor, _KEEP_SIZE, ctypes.c_int64(start), ctypes.c_int64(length)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _files(journal: Path) -> list[Path]:
    """Return the files of the journal, the oldest first: rotation counts upwards, from `.1` for the newest old one."""
    found = [path for path in journal.parent.glob(f"{journal.name}*") if path.suffix not in {".gz", ".xz", ".zst"}]
    return sorted(found, key=lambda path: (len(path.name), path.name), reverse=True)


def _offsets() -> dict[str, int]:
    return {row.first_line: row.offset for row in statements.rows(select(JournalFile.first_line, JournalFile.offset))}


def _read_file(path: Path, offsets: dict[str, int], handle: Callable[[Lines], None], lost: Callable[[], None]) -> None:
    with path.open("rb") as file:  # open it once: the path may soon be another file's
        name = _first_line(file)
        if name is None:
            return
        offset = file.seek(offsets.get(name, 0))
        known = name in offsets
        # Save the offset after each batch, so an interruption loses at most one batch.
        while lines := file.readlines(BATCH):
            complete = [line for line in lines if line.endswith(b"\n")]
            values, broken = _parsed(complete)
            if broken:
                lost()
            handle(values)
            offset += sum(map(len, complete))
            os.fdatasync(file.fileno())  # or a power cut could leave a journal that ends before the offset
            _save(name, offset, known=known)
            known = True
            if len(complete) < len(lines):
                break  # nginx is still writing the last line


def _first_line(file: BinaryIO) -> str | None:
    line = file.readline()
    return hashlib.sha256(line).hexdigest() if line.endswith(b"\n") else None


def _parsed(lines: Sequence[bytes]) -> tuple[Lines, bool]:
    """Return the values of lines, and whether one of them was truncated or is not a JSON object."""
    values: Lines = []
    broken = False
    for line in lines:
        torn, start, rest = line.rpartition(_LINE_START)
        broken = broken or bool(torn)
        if torn:
            _log.warning("journal: truncated line, followed by the next one")
        try:
            value = json.loads(start + rest)
        except ValueError:
            value = None
        if isinstance(value, dict):
            values.append(value)
        else:
            broken = True
            _log.warning("journal: skipped a line that is not a JSON object")
    return values, broken


def _save(name: str, offset: int, *, known: bool) -> None:
    if not known:
        new = statements.insert_new(JournalFile).values(first_line=name, offset=offset, read_at=now())
        if statements.execute(new):
            return
        # Another reader was first; the later offset wins.
    statements.execute(
        update(JournalFile)
        .where(JournalFile.first_line == name, JournalFile.offset < offset)
        .values(offset=offset, read_at=now())
    )
