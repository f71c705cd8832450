"""The use cases of files, one function each; views call them and nothing else of the pipeline."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from vimeo_api.core import (
    catalog,
    deliveries,
    fetching,
    identifiers,
    joining,
    lifecycle,
    passwords,
    placing,
    sniffing,
    storage,
    upkeep,
)
from vimeo_api.core.catalog import Entry, NewFile, now
from vimeo_api.core.deliveries import Ticket
from vimeo_api.core.errors import (
    Exists,
    FetchFailed,
    Gone,
    Leased,
    Malformed,
    NotThere,
    StillFetching,
    TooLarge,
    WrongPassword,
)
from vimeo_api.core.models import Status
from vimeo_api.core.policy import Policy
from vimeo_api.core.storage import Staging
from vimeo_api.extensions import settings

LONGEST_WAIT = 5  # seconds; a download is often over long before its lease would be


@dataclass(frozen=True, slots=True)
class Download:
    """A file that may be sent now; `ticket` is set where a lease was taken for it."""

    surface: str
    blob: str
    landed: bool
    name: str
    size: int
    content_type: str | None
    digest: str | None  # as `sha256:` and hexadecimal digits, where it is known
    ticket: Ticket | None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: its files, how many there are in all, and how many pages they make."""

    files: list[Entry]
    total: int
    number: int
    pages: int


def check_name(policy: Policy, name: str) -> str:
    """Return the harmless form of a client's file name. Raises Malformed when the surface does not take its type."""
    safe = identifiers.safe_name(name)
    if policy.extensions is None:
        return safe
    stem, dot, extension = safe.rpartition(".")
    if not (stem and dot and extension):
        raise Malformed("No extension file not allowed")
    if extension.lower() not in policy.extensions:
        raise Malformed(f"{extension} file not allowed")
    return safe


def upload(
    policy: Policy,
    staging: Staging,
    *,
    name: str = "",
    password: str | None = None,
    content_type: str | None = None,
    queue: str | None = None,
    digest: str | None = None,
) -> str:
    """Publish staged bytes under a new key and return the key, once bytes and row are durable.

    Raises TooLarge, Malformed (name or password), Exists and StorageFull.
    """
    _check_size(policy, staging)
    safe = check_name(policy, name)
    key = policy.new_key(safe)
    file = NewFile(
        surface=policy.surface,
        key=key,
        blob=identifiers.random_hex(),
        name=safe,
        size=staging.size,
        content_type=content_type,
        queue=queue,
        digest=digest,
        password_hash=passwords.hashed(password) if password else None,
    )
    staging.sync()
    with storage.locked(file.surface, file.blob):
        landed = storage.publish(staging, file.surface, file.blob)
        try:
            catalog.add(replace(file, landed=landed))
        except Exists:
            storage.remove(file.surface, file.blob)
            raise
        # Any other error leaves it open whether the row is there, so the bytes stay until they are reconciled.
    return key


def upload_content(policy: Policy, staging: Staging) -> str:
    """Publish staged bytes under their digest and return its hexadecimal digits; equal content is one file.

    Raises TooLarge and StorageFull.
    """
    _check_size(policy, staging)
    algorithm = settings.store_algorithm
    key = staging.digest(algorithm)
    file = NewFile(policy.surface, key, blob=key, name=key, size=staging.size, digest=f"{algorithm}:{key}")
    staging.sync()
    # Under the lock nobody removes the bytes between our finding them there and our row.
    with storage.locked(file.surface, file.blob):
        with suppress(FileExistsError):
            storage.publish(staging, file.surface, file.blob)
        try:
            catalog.add(replace(file, landed=storage.lands()))
        except Exists:
            placing.clear(file.surface, file.blob)  # of the file that is there already, the bytes may be in the store
    return key


def remove(policy: Policy, key: str) -> None:
    """Remove a file at its owner's word; downloads that run go on to their end. Raises NotThere."""
    entry = catalog.find(policy.surface, key)
    if entry is None or not lifecycle.remove(entry):
        raise NotThere
    # At once, so that the very next request finds no bytes; after a crash here the sweep does it.
    upkeep.purge([entry.id])


def page(policy: Policy, *, query: str, number: int, size: int) -> Page:
    """Return a page of a surface's files, the newest first, whose names contain the query."""
    total = catalog.count(policy.surface, containing=query)
    pages = max(1, math.ceil(total / size))
    number = min(max(1, number), pages)
    files = catalog.newest(policy.surface, containing=query, limit=size, offset=(number - 1) * size)
    return Page(files, total, number, pages)


def names(policy: Policy) -> list[str]:
    """Return the names of all files of a surface, sorted."""
    return catalog.names(policy.surface)


def join(policy: Policy, keys: Sequence[str], *, queue: str | None = None) -> str:
    """Make a new stream of the bytes of others, in the given order, and return its key.

    Raises NotThere for a stream that is not there, TooLarge and StorageFull.
    """
    found = catalog.find_all(policy.surface, keys)
    if not found.keys() >= set(keys):
        raise NotThere
    entries = [found[key] for key in keys]
    if policy.max_bytes is not None and sum(entry.size for entry in entries) > policy.max_bytes:
        raise TooLarge
    with storage.stage() as staging:
        try:
            sources = [(storage.path(entry.surface, entry.blob, landed=entry.landed), entry.size) for entry in entries]
            joining.join(staging, sources)
        except FileNotFoundError:
            raise NotThere from None  # deleted meanwhile
        digest = f"sha256:{staging.digest('sha256')}"
        return upload(policy, staging, content_type=sniffing.detect(staging.head), queue=queue, digest=digest)


def _check_size(policy: Policy, staging: Staging) -> None:
    if policy.max_bytes is not None and staging.size > policy.max_bytes:
        raise TooLarge


def open_download(
    policy: Policy, key: str, *, password: str | None = None, grant: str | None = None, with_body: bool = True
) -> Download:
    """Decide whether a file may be sent now; for the body of a one-time file take its lease.

    `grant` is the one that the client shows to go on with a download of its own. Without a body (HEAD) nothing
    is taken. Raises, in this order: NotThere, Gone, WrongPassword, Leased.
    """
    entry = _present(policy, key, grant)
    if not passwords.matches(entry.password_hash, password):
        raise WrongPassword(lasting=entry.status == Status.AVAILABLE)
    ticket = None
    if policy.one_time and with_body:
        ticket = _resumed_ticket(entry) if entry.status == Status.GONE else _leased_ticket(entry, grant)
    return Download(
        entry.surface,
        entry.blob,
        entry.landed,
        entry.name,
        entry.size,
        entry.content_type,
        entry.digest,
        ticket,
    )


def _present(policy: Policy, key: str, grant: str | None) -> Entry:
    entry = catalog.find(policy.surface, key)
    if entry is not None and policy.one_time and entry.status == Status.LEASED:
        # The download may have ended a moment ago: what was written down about it is older than this request.
        deliveries.endings.wait(entry.id)
        deliveries.catch_up()
        entry = catalog.find(policy.surface, key)
    if entry is None:
        raise NotThere
    if entry.status == Status.FETCHING:
        raise StillFetching(fetching.progress(entry))
    if entry.status == Status.FAILED:
        raise FetchFailed(entry.failure or "", entry.error or "")
    if entry.status == Status.GONE and not _in_grace(entry, grant):
        raise Gone
    return entry


def _in_grace(entry: Entry, grant: str | None) -> bool:
    if entry.delivered_at is None or entry.purged_at is not None or grant is None or grant != entry.grant:
        return False
    return (now() - entry.delivered_at).total_seconds() < settings.grace_seconds


def _leased_ticket(entry: Entry, grant: str | None) -> Ticket:
    token = grant if grant is not None and grant == entry.grant else identifiers.random_hex()
    answer = lifecycle.lease(entry.id, token, seconds=settings.lease_seconds + entry.size / settings.lease_min_rate)
    if answer is None:
        raise Leased(_wait(entry))
    return Ticket(entry.id, token, answer)


def _resumed_ticket(entry: Entry) -> Ticket:
    # The file is used up already; whatever becomes of this answer changes nothing.
    return Ticket(entry.id, entry.grant or "", 0)


def _wait(entry: Entry) -> int:
    """Return after how many seconds a client that met a lease should ask again, at least one."""
    remaining = (entry.due_at - now()).total_seconds() if entry.due_at else 0
    return max(1, min(LONGEST_WAIT, math.ceil(remaining)))
