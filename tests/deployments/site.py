"""A deployment under test: where it is and what a test may know of its disk."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.services import files_below

# Added to the settings of each deployment: fetches from this machine, and used-up files that go at once.
SETTINGS = "FETCH_ALLOW_PRIVATE=1\nGRACE_SECONDS=1\n"
PATIENCE = 60  # seconds


@dataclass(frozen=True)
class Site:
    """A running deployment."""

    url: str
    data: Path  # DATA_DIR, as we see it
    origin_address: str  # under which the fetcher reaches a server of ours

    @property
    def vimeo(self) -> str:
        return f"{self.url}/vimeo/api/v1.0/file"

    def holds(self, content: bytes) -> bool:
        """Return whether a file below DATA_DIR has this content."""
        for path in files_below(self.data):
            with suppress(FileNotFoundError):  # it may be removed meanwhile
                if path.stat().st_size == len(content) and path.read_bytes() == content:
                    return True
        return False

    def answers(self) -> bool:
        """Return whether the service is ready; nobody may listen yet."""
        try:
            return requests.get(f"{self.url}/readyz", timeout=PATIENCE).ok
        except requests.ConnectionError:
            return False
