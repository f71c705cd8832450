"""The mark of the store, by which it is told from the empty folder over which it should be mounted.

    STORE_DIR/.mark        made when the store is first used
    DATA_DIR/store.mark    the same, so that we know which one to expect

Without it a store that is not mounted would look like one whose files are gone: 404 for all of them, and what is
written there would be hidden once it is mounted again. Whoever finds bytes missing asks, and whoever writes.
"""

from pathlib import Path

from vimeo_api.config import Settings
from vimeo_api.config.secret import kept
from vimeo_api.core import identifiers
from vimeo_api.core.errors import Unavailable
from vimeo_api.extensions import settings

AWAY = "STORE_DIR is not the store that DATA_DIR/store.mark knows; is it mounted?"
NAME = ".mark"
_EXPECTED = "store.mark"


def settle(values: Settings) -> None:
    """Make the mark of a store that is used for the first time, or learn the one that it has; `app` does at start."""
    expected = values.data_dir / _EXPECTED
    if not expected.exists():
        # The store's own first: a crash in between leaves one that the next start learns.
        kept(expected, kept(values.store_dir / NAME, identifiers.random_hex()))


def check() -> None:
    """Raise Unavailable unless STORE_DIR is the store."""
    if not found():
        raise Unavailable(AWAY)


def found() -> bool:
    """Return whether STORE_DIR is the store."""
    return _read(settings.store_dir / NAME) == (settings.data_dir / _EXPECTED).read_text()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # not there, not ours, or not readable: in any case not the store
        return ""
