"""What differs between the surfaces, as data: a view hands the Policy of its surface to the use cases in `services`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from vimeo_api.core import identifiers
from vimeo_api.extensions import settings


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one surface."""

    surface: str  # the surface's name: the first column of every key, and its folder in the store
    new_key: Callable[[str], str] = identifiers.any_hex  # how clients name a new file, given its name
    makes_keys: bool = True  # so that nobody can have asked for a new file before
    one_time: bool = False  # the first complete download uses a file up
    by_content: bool = False  # equal content is one blob, whatever number of files has it
    checks_extension: bool = False  # takes only names with an extension of the setting `<SURFACE>_EXTENSIONS`

    @property
    def max_bytes(self) -> int | None:
        """Largest file in bytes, from the setting `<SURFACE>_MAX_BYTES`; None is no limit."""
        return cast("int | None", getattr(settings, f"{self.surface}_max_bytes"))

    def expiry(self, wanted: int | None) -> datetime | None:
        """Return when a new file expires: after the seconds that its owner wants, or None for never.

        The setting `<SURFACE>_EXPIRES_SECONDS` is the longest life, and the one of a file whose owner wants none.
        """
        limit: int | None = getattr(settings, f"{self.surface}_expires_seconds")
        lives = [seconds for seconds in (wanted, limit) if seconds is not None]
        return datetime.now(UTC) + timedelta(seconds=min(lives)) if lives else None

    @property
    def extensions(self) -> frozenset[str] | None:
        """The extensions that the surface takes, in lower case; None is any or none."""
        if not self.checks_extension:
            return None
        listed: str = getattr(settings, f"{self.surface}_extensions")
        return frozenset(word.strip().lower() for word in listed.split(",") if word.strip())


VIMEO = Policy("vimeo", one_time=True)
STREAMS = Policy("streams", new_key=identifiers.any_uuid)
STORE = Policy("store", makes_keys=False, by_content=True)
NAMED = Policy("named", new_key=identifiers.own_name, makes_keys=False, checks_extension=True)
TRANSFER = Policy("transfer", new_key=identifiers.any_number)
POLICIES = (VIMEO, STREAMS, STORE, NAMED, TRANSFER)
