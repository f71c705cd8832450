"""The name of this host among those of the service, kept in DATA_DIR with the bytes and the journal that it stands for.

So containers that share a DATA_DIR are one host, and a machine that gets another name stays the same one. `profiles`
reads the name, `extensions` keeps it.
"""

import socket
from pathlib import Path

from vimeo_api.config.secret import write_once

FILE = "host.name"  # in DATA_DIR


def read(folder: Path) -> str:
    """Return the name kept in a data folder, else that of the machine."""
    try:
        return _path(folder).read_text().strip()
    except OSError:
        return socket.gethostname()


def is_kept(folder: Path) -> bool:
    """Return whether a data folder has a name."""
    return _path(folder).exists()


def keep(folder: Path, name: str) -> None:
    """Keep a name in a data folder that has none."""
    if not is_kept(folder):
        write_once(_path(folder), name)


def _path(folder: Path) -> Path:
    return folder / FILE
