"""The rows of files, for tests in process."""

from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import Entry


def found(surface: str, key: str) -> Entry:
    """Return a file that has to exist."""
    entry = catalog.find(surface, key)
    assert entry is not None
    return entry


def again(entry: Entry) -> Entry:
    """Return the row of a file as it is now."""
    return found(entry.surface, entry.key)
