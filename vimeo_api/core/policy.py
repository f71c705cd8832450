"""What differs between the surfaces, as data: a view hands its Policy to the use cases in `services`."""

from dataclasses import dataclass
from typing import cast

from vimeo_api.extensions import settings


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one surface."""

    surface: str  # the surface's name: the first column of every key, and its folder in the store
    one_time: bool = False  # the first complete download uses a file up

    @property
    def max_bytes(self) -> int:
        """Largest file in bytes, from the setting `<SURFACE>_MAX_BYTES`."""
        return cast("int", getattr(settings, f"{self.surface}_max_bytes"))
