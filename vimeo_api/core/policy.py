"""What differs between the surfaces, as data: a view hands its Policy to the use cases in `services`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from vimeo_api.core import identifiers
from vimeo_api.extensions import settings


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one surface."""

    surface: str  # the surface's name: the first column of every key, and its folder in the store
    new_key: Callable[[str], str] = identifiers.any_hex  # how clients name a new file, given its name
    one_time: bool = False  # the first complete download uses a file up
    checks_extension: bool = False  # takes only names with an extension of the setting `<SURFACE>_EXTENSIONS`

    @property
    def max_bytes(self) -> int | None:
        """Largest file in bytes, from the setting `<SURFACE>_MAX_BYTES`; None is no limit."""
        return cast("int | None", getattr(settings, f"{self.surface}_max_bytes"))

    @property
    def extensions(self) -> frozenset[str] | None:
        """The extensions that the surface takes, in lower case; None is any or none."""
        if not self.checks_extension:
            return None
        listed: str = getattr(settings, f"{self.surface}_extensions")
        return frozenset(word.strip().lower() for word in listed.split(",") if word.strip())
