"""The mark of the store, which tells it from the empty folder that it should be mounted on.

    STORE_DIR/.mark        made when the store is first used
    DATA_DIR/store.mark    the same, so that we know which one to expect

Without it a store that is not mounted would look like one whose files are gone: 404 for all of them, and what is
written there would be hidden once it is mounted again. `extensions` makes both marks at the first start. Callers ask
where they find bytes missing, and before they write.
"""

from pathlib import Path

from vimeo_api.core.errors import Unavailable

AWAY = "STORE_DIR is not the store that DATA_DIR/store.mark knows; is it mounted?"
NAME = ".mark"
_EXPECTED = "store.mark"


class MountCheck:
    """Whether the folder of the store is the store."""

    def __init__(self, store: Path, data: Path) -> None:
        """Compare the mark in the folder of the store with the one in the folder of our data."""
        self.mark = store / NAME
        self.expected = data / _EXPECTED

    def check(self) -> None:
        """Raise Unavailable unless STORE_DIR is the store."""
        if not self.found():
            raise Unavailable(AWAY)

    def found(self) -> bool:
        """Return whether STORE_DIR is the store."""
        return _read(self.mark) == self.expected.read_text()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # not there, not ours, or not readable: in any case not the store
        return ""
