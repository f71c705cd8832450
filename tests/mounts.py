"""Filesystems that are mounted for a service under test alone, gone with its processes, and filled by tests."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def mounting(script: str, *words: str) -> list[str]:
    """Return what comes before a command so that it runs among mounts of its own, which a shell script makes.

    The script finds the words in `$1` and so on, and the command behind them.
    """
    # Who is not root may mount in a user namespace of its own, mount_namespaces(7).
    who = [] if os.geteuid() == 0 else ["--map-current-user", "--keep-caps"]
    return ["unshare", *who, "--mount", "sh", "-c", script, "sh", *words]


@contextmanager
def filled(folder: Path, *, left: int) -> Iterator[None]:
    """Leave so many bytes of a folder's filesystem for the length of the block."""
    ballast = folder / ".ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - left)
    try:
        yield
    finally:
        ballast.unlink()
