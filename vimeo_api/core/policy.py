"""What differs between the surfaces, as data: a view passes its surface's Policy to `services`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from vimeo_api.config.settings import SurfaceSettings
from vimeo_api.core import identifiers
from vimeo_api.core.clock import now
from vimeo_api.extensions import settings


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one surface."""

    surface: str  # the surface's name: the first column of every key, and its folder in the store
    new_key: Callable[[str], str] = identifiers.any_hex  # makes the key of a new file from its name
    makes_keys: bool = True  # keys are random, so nobody can have asked for a new file before it existed
    one_time: bool = False  # the first complete download uses up the file
    sniffs: bool = False  # the media type comes from the first bytes, not from the name
    managed: bool = False  # an upload gets a manage URL, by which it can be followed and deleted
    by_content: bool = False  # equal content is one blob, however many files have it

    @property
    def settings(self) -> SurfaceSettings:
        """The settings of this surface."""
        return settings.surfaces[self.surface]

    @property
    def max_bytes(self) -> int | None:
        """Largest file in bytes; None means no limit."""
        return self.settings.max_bytes

    @property
    def extensions(self) -> frozenset[str] | None:
        """The accepted file name extensions, in lower case; None accepts any name."""
        return self.settings.allowed_extensions

    def expiry(self, wanted: int | None) -> datetime | None:
        """Return when a new file expires: after `wanted` seconds, or None for never.

        The setting `<SURFACE>_EXPIRES_SECONDS` is the maximum and the default.
        """
        lives = [seconds for seconds in (wanted, self.settings.expires_seconds) if seconds is not None]
        return now() + timedelta(seconds=min(lives)) if lives else None


VIMEO = Policy("vimeo", one_time=True, managed=True)
STREAMS = Policy("streams", new_key=identifiers.any_uuid, sniffs=True)
STORE = Policy("store", makes_keys=False, by_content=True)
NAMED = Policy("named", new_key=identifiers.own_name, makes_keys=False, managed=True)
TRANSFER = Policy("transfer", new_key=identifiers.any_number, managed=True)
POLICIES = (VIMEO, STREAMS, STORE, NAMED, TRANSFER)
BY_SURFACE = {policy.surface: policy for policy in POLICIES}
