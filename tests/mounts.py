"""Filesystems that only a service under test sees and that end with it, and a way for tests to fill them."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def mounting(script: str, *words: str) -> list[str]:
    """Return the prefix that runs a command in its own mount namespace, where a shell script makes the mounts.

    The script gets the words as `$1` and so on, followed by the command.
    """
    # Without root, mounting needs a user namespace, mount_namespaces(7).
    who = [] if os.geteuid() == 0 else ["--map-current-user", "--keep-caps"]
    return ["unshare", *who, "--mount", "sh", "-c", script, "sh", *words]


@contextmanager
def filled(folder: Path, *, left: int) -> Iterator[None]:
    """Fill a folder's filesystem, except for `left` bytes, until the block ends."""
    ballast = folder / ".ballast"
    try:
        with ballast.open("wb") as file:
            while (free := shutil.disk_usage(folder).free - left) > 0:
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, free)
                except OSError as error:
                    if error.errno != errno.ENOSPC:  # otherwise the service used some of it meanwhile
                        raise
        yield
    finally:
        ballast.unlink()
