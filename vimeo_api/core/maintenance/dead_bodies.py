"""Bodies in the spool that nobody needs any more, because the process that did was killed; `tasks.sweep` calls this.

Neither the age of a body nor the time when nginx started tells whether it is dead: a slow client fills the buffer for
hours before nginx writes it, and after a reload the old workers of nginx go on with their uploads. But whoever receives
a body, or makes a file of it, has it open for writing, and then the kernel grants no read lease, whatever container
asks. nginx logs a body of a resumable upload before it closes it. So once the log has been read, nobody wants a body
that is closed.

Where the kernel knows no leases, as on some network filesystems, the daily reconciliation removes them.
Source: fcntl(2), F_SETLEASE.
"""

import fcntl
import logging
import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vimeo_api.core.resumable import adoption
from vimeo_api.core.storage.folders import is_old
from vimeo_api.extensions import settings

AGE_SECONDS = 60  # for a request that knows a body and has yet to open it
_NAME = re.compile(r"[0-9]{10,20}|[0-9a-f]{32}")  # nginx's, and those of `blobs.stage`

_log = logging.getLogger(__name__)


def remove() -> int:
    """Remove the dead bodies of this host, once nginx's log has been read; return how many."""
    if not (closed := list(_closed())):
        return 0
    adoption.catch_up()
    removed = [facts.st_size for path, facts in closed if _remove(path, facts)]
    if removed:
        _log.info("removed %d bodies of killed processes: %d bytes", len(removed), sum(removed))
    return len(removed)


def _closed() -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the bodies that nobody has open for writing, with what they are."""
    for path in list(settings.spool_dir.glob("[0-9a-f]*")):
        if _NAME.fullmatch(path.name) and is_old(path, AGE_SECONDS):
            with suppress(OSError):  # it has gone meanwhile
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    if _is_closed(descriptor):
                        yield path, os.fstat(descriptor)
                finally:
                    os.close(descriptor)


def _is_closed(descriptor: int) -> bool:
    """Return whether nobody has a file open for writing; the lease ends with the descriptor, or before."""
    try:
        # Whoever opens the file at this moment breaks the lease: by SIGURG, which does nothing, and not by SIGIO.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:  # EAGAIN if it is open, EINVAL where there are no leases
        return False
    return True


def _remove(path: Path, facts: os.stat_result) -> bool:
    """Remove a body, unless the log had it, or nginx uses its name again; return whether it was there."""
    try:
        if not os.path.samestat(path.lstat(), facts):
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    return True
