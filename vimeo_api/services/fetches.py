"""The use cases of URL uploads; the view of the surface `transfer` calls them, and workers do the fetching."""

import threading
import time
from dataclasses import dataclass
from typing import Any

from vimeo_api import tasks
from vimeo_api.core import identifiers
from vimeo_api.core.database.models import Status
from vimeo_api.core.errors import Malformed, NotThere
from vimeo_api.core.fetching import claims, headers, ssrf
from vimeo_api.core.files import catalog, file_names
from vimeo_api.core.files.catalog import Entry, NewFile
from vimeo_api.core.policy import Policy
from vimeo_api.extensions import settings

POLL_SECONDS = 0.05
_SHA256 = 64  # hexadecimal digits


class _Gate:
    """Lets so many through at once, and sends the others away."""

    def __init__(self) -> None:
        self._inside = 0
        self._lock = threading.Lock()

    def enter(self, most: int) -> bool:
        with self._lock:
            if self._inside >= most:
                return False
            self._inside += 1
            return True

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1


_waiting = _Gate()


@dataclass(frozen=True, slots=True)
class Begun:
    """A fetch that has been asked for: the new file's key, and the name that its URL suggests."""

    key: str
    name: str


def begin(
    policy: Policy, url: str, *, sha256: str | None, expires_in: int | None = None, token_id: int | None = None
) -> Begun:
    """Write down that a URL is to be fetched, and tell a worker.

    Raises UrlRefused and AddressRefused for one that cannot be, Malformed for a digest that is none.
    """
    if not settings.fetch_urls:
        raise ssrf.AddressRefused("URL uploads are turned off.")
    target = ssrf.check_url(url, allow_private=settings.fetch_allow_private)
    if sha256 is not None and not (len(sha256) == _SHA256 and set(sha256.lower()) <= set("0123456789abcdef")):
        raise Malformed("sha256 must be 64 hexadecimal digits.")
    name = file_names.safe(headers.name({}, target.url))
    key = policy.new_key(name)
    catalog.add(
        NewFile(
            policy.surface,
            key,
            blob=identifiers.random_hex(),
            name=name,
            size=0,
            source_url=url,
            expected_sha256=sha256.lower() if sha256 else None,
            expires_at=policy.expiry(expires_in),
            token_id=token_id,
        )
    )
    entry = _entry(policy, key)
    tasks.enqueue(tasks.fetch, entry.id)
    return Begun(key, name)


def wait(policy: Policy, key: str) -> bool:
    """Wait a little for a fetch to end; return whether it did. Only so many requests of a process may wait at once."""
    if not _waiting.enter(settings.fetch_waiters):
        return False
    try:
        deadline = time.monotonic() + settings.fetch_wait_seconds
        while _entry(policy, key).status == Status.FETCHING:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True
    finally:
        _waiting.leave()


def status(policy: Policy, key: str) -> dict[str, Any]:
    """Return a fetched file's name and how the fetch goes, as JSON has it. Raises NotThere for one never fetched.

    Until the fetch is over the name is what the URL suggests; the origin may know a better one.
    """
    entry = _fetched(policy, key)
    return {"name": entry.name, **claims.progress(entry)}


def cancel(policy: Policy, key: str) -> dict[str, Any]:
    """Stop a fetch that is still going on, and return how it stands. Raises NotThere."""
    claims.cancel(_fetched(policy, key).id)
    return status(policy, key)


def _fetched(policy: Policy, key: str) -> Entry:
    entry = _entry(policy, key)
    if entry.source_url is None:
        raise NotThere("There is no fetch with this id.")
    return entry


def _entry(policy: Policy, key: str) -> Entry:
    entry = catalog.find(policy.surface, key)
    if entry is None:
        raise NotThere("There is no file with this id.")
    return entry
