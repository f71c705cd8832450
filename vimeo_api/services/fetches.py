"""The use cases of URL uploads; the view of the surface `transfer` calls them, and workers fetch the bytes."""

import threading
import time
from dataclasses import dataclass
from typing import Any

from vimeo_api import tasks
from vimeo_api.core import identifiers
from vimeo_api.core.access import api_tokens, manage_keys
from vimeo_api.core.database.models import Status
from vimeo_api.core.errors import Malformed, NotFound
from vimeo_api.core.fetching import claims, headers, ssrf, turns
from vimeo_api.core.files import catalog, file_names
from vimeo_api.core.files.catalog import Entry, NewFile
from vimeo_api.core.policy import Policy
from vimeo_api.extensions import settings

POLL_SECONDS = 0.05
_SHA256 = 64  # hexadecimal digits


class _Gate:
    """Admits a limited number at once and turns the others away."""

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
    """A new fetch: the file's key, the name that its URL suggests, and the key of its manage URL."""

    key: str
    name: str
    manage_key: str


def begin(
    policy: Policy,
    url: str,
    *,
    client: str,
    sha256: str | None,
    expires_in: int | None = None,
    token_id: int | None = None,
) -> Begun:
    """Add a file that is to be fetched from a URL, and enqueue the fetch; `client` is who asks for it.

    Raises UrlRefused and AddressRefused for a URL that must not be fetched, Malformed for an invalid digest, and
    QuotaExceeded.
    """
    if not settings.fetch_urls:
        raise ssrf.AddressRefused("URL uploads are turned off.")
    target = ssrf.check_url(url, allow_private=settings.fetch_allow_private)
    if sha256 is not None and not (len(sha256) == _SHA256 and set(sha256.lower()) <= set("0123456789abcdef")):
        raise Malformed("sha256 must be 64 hexadecimal digits.")
    name = file_names.safe(headers.name({}, target.url))
    key, manage_key = policy.new_key(name), manage_keys.new()
    new = NewFile(
        policy.surface,
        key,
        blob=identifiers.random_hex(),
        name=name,
        size=0,
        source_url=url,
        expected_sha256=sha256.lower() if sha256 else None,
        expires_at=policy.expiry(expires_in),
        token_id=token_id,
        manage_digest=manage_keys.digest(manage_key),
    )
    with api_tokens.charged(token_id, 0):
        catalog.add(new)
    entry = _entry(policy, key)
    turns.add(entry.id, client=client, origin=target.host)
    tasks.enqueue(tasks.fetch, entry.id)
    return Begun(key, name, manage_key)


def wait(policy: Policy, key: str) -> bool:
    """Wait up to FETCH_WAIT_SECONDS for a fetch to end; return whether it did.

    At most FETCH_WAITERS requests wait at once.
    """
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
    """Return a fetched file's name and progress, ready for JSON. Raises NotFound for a file without a fetch.

    Until the fetch is over, the name is what the URL suggests; the origin may suggest a better one.
    """
    entry = _fetched(policy, key)
    return {"name": entry.name, **claims.progress(entry)}


def cancel(policy: Policy, key: str) -> dict[str, Any]:
    """Cancel a fetch unless it is over, and return its status. Raises NotFound."""
    claims.cancel(_fetched(policy, key).id)
    return status(policy, key)


def _fetched(policy: Policy, key: str) -> Entry:
    entry = _entry(policy, key)
    if entry.source_url is None:
        raise NotFound("There is no fetch with this id.")
    return entry


def _entry(policy: Policy, key: str) -> Entry:
    entry = catalog.find(policy.surface, key)
    if entry is None:
        raise NotFound("There is no file with this id.")
    return entry
