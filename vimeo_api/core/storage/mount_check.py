"""The mark of the store, which tells it from the empty folder that is its mount point.

    STORE_DIR/.mark        created at the first start
    DATA_DIR/store.mark    a copy, so that we know which mark to expect

Without it, a store that is not mounted would look empty: every file would get 404, and new files would be hidden once
it is mounted again. `extensions` creates both marks at the first start. Callers check when they find bytes missing, and
before they write.
"""

from pathlib import Path

from vimeo_api.core.errors import Unavailable

NOT_MOUNTED = "STORE_DIR is not the store that DATA_DIR/store.mark knows; is it mounted?"
NAME = ".mark"
_EXPECTED = "store.mark"


class MountCheck:
    """Whether the store is mounted."""

    def __init__(self, store: Path, data: Path) -> None:
        """Compare the mark in STORE_DIR with the one in DATA_DIR."""
        self.mark = store / NAME
        self.expected = data / _EXPECTED

    def check(self) -> None:
        """Raise Unavailable unless STORE_DIR is the store."""
        if not self.is_mounted():
            raise Unavailable(NOT_MOUNTED)

    def is_mounted(self) -> bool:
        """Return whether STORE_DIR is the store."""
        return _read(self.mark) == self.expected.read_text()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # missing or not readable: in any case not the store
        return ""
