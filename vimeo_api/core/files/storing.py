"""Turn the bytes that clients send into files: check them, publish them, and return what to tell the client.

Views call it, and so does `resumable.finishing`, in views and in workers: that is why it belongs to the core.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime

from vimeo_api.core import identifiers
from vimeo_api.core.access import api_tokens, manage_keys, passwords
from vimeo_api.core.database import prepared, statements
from vimeo_api.core.database.models import File
from vimeo_api.core.errors import Exists, Malformed, QuotaExceeded, StorageFull, TooLarge, Unavailable
from vimeo_api.core.files import (
    cache_generations,
    catalog,
    digests,
    file_names,
    lifecycle,
    placing,
)
from vimeo_api.core.files.catalog import NewFile
from vimeo_api.core.policy import Policy
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.extensions import blobs, reservations, settings


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A new file, as its uploader gets to know it."""

    key: str
    name: str
    size: int  # bytes
    expires_at: datetime | None
    downloads: int
    manage_key: str | None  # of its manage URL; only its hash is stored. None where the surface has none


def check_name(policy: Policy, name: str) -> str:
    """Return the safe form of a client's file name. Raises Malformed if the surface does not allow its extension."""
    safe = file_names.safe(name)
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
    blob: str | None = None,
    password: str | None = None,
    password_hash: str | None = None,
    content_type: str | None = None,
    queue: str | None = None,
    digest: str | None = None,
    expires_in: int | None = None,
    notify_url: str | None = None,
    downloads: int = 1,
    token_id: int | None = None,
) -> Uploaded:
    """Publish staged bytes under a new key and return what to tell the uploader, once bytes and row are durable.

    The file expires after `expires_in` seconds, or sooner if the surface says so. A resumable upload has chosen its
    `blob` and hashed its password before; FileExistsError means that an earlier attempt has published that blob.
    Raises TooLarge, Malformed (name or password), Exists, QuotaExceeded and StorageFull; with PLACE=through also
    Unavailable.
    """
    reservations.check_spool_space()
    manage_key = manage_keys.new() if policy.managed else None
    new = _new(policy, staging, name=name, blob=blob, expires_in=expires_in, token_id=token_id, manage_key=manage_key)
    file = new._replace(
        content_type=content_type,
        queue=queue,
        digest=digest or digests.of_small(staging),
        notify_url=notify_url,
        password_hash=passwords.hashed(password) if password else password_hash,
        downloads=downloads,
    )
    _publish(policy, (file, staging))
    return _uploaded(file, manage_key)


def upload_all(
    policy: Policy, files: Sequence[tuple[str, Staging]], *, expires_in: int | None = None, token_id: int | None = None
) -> list[Uploaded]:
    """Publish several files under their names, all or none. Raises what `upload` does."""
    reservations.check_spool_space()
    manage_keys_of = [manage_keys.new() if policy.managed else None for _ in files]
    new = [
        (_new(policy, staging, name=name, expires_in=expires_in, token_id=token_id, manage_key=manage_key), staging)
        for (name, staging), manage_key in zip(files, manage_keys_of, strict=True)
    ]
    keys = [file.key for file, _ in new]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise Malformed(f"Two of the files are called {twice}.")
    _publish(policy, *((file._replace(digest=digests.of_small(staging)), staging) for file, staging in new))
    return [_uploaded(file, manage_key) for (file, _), manage_key in zip(new, manage_keys_of, strict=True)]


def uploaded_before(policy: Policy, blob: str) -> Uploaded | None:
    """Return the file of a resumable upload if an earlier attempt stored it, and was killed before it answered.

    Nobody has seen its manage URL, so it gets a new one.
    """
    file = catalog.by_blob(policy.surface, blob)
    if file is None:
        return None
    manage_key = manage_keys.new() if policy.managed else None
    if manage_key:
        catalog.set_manage_digest(file.id, manage_keys.digest(manage_key))
    return Uploaded(file.key, file.name, file.size, file.expires_at, file.downloads, manage_key)


def upload_content(policy: Policy, staging: Staging, *, token_id: int | None = None) -> str:
    """Publish staged bytes and return the hexadecimal digits of their digest, their key; equal content is one file.

    It counts only against the quota of the token that stored it first. Raises TooLarge, QuotaExceeded and StorageFull.
    """
    reservations.check_spool_space()
    _check_size(policy, staging)
    algorithm = settings.store.algorithm
    key = staging.digest(algorithm)
    digest, expires_at = f"{algorithm}:{key}", policy.expiry(None)
    file = NewFile(
        surface=policy.surface,
        key=key,
        blob=key if blobs.shared_by_digest else identifiers.random_hex(),
        name=key,
        size=staging.size,
        digest=digest,
        expires_at=expires_at,
        token_id=token_id,
    )
    if settings.place == "through":
        return _send_content(policy, file, staging)
    staging.sync()
    prepared.check_reachable()
    # The lock keeps others from removing the bytes between our finding them and adding our row.
    with blobs.locked(file.surface, file.blob):
        try:
            pending = blobs.publish(staging, file.surface, file.blob)
        except FileExistsError:
            pending = blobs.uses_pending()
        if lifecycle.prolong(file.surface, file.key, expires_at):
            placing.clear(file.surface, file.blob)  # that file's bytes may be in the store already
            return key
        try:
            modified = blobs.modified(file.surface, file.blob, pending=pending)
            added = file._replace(pending=pending, modified=modified)
            _add(policy, added)
        except (Exists, QuotaExceeded) as error:
            if not catalog.live_blobs(file.surface, [file.blob]):
                blobs.unpublish(file.surface, file.blob)
            if isinstance(error, Exists) and lifecycle.prolong(file.surface, file.key, expires_at):
                return key  # another upload of this content, under another random blob, was faster
            raise
    return key


def _send_content(policy: Policy, file: NewFile, staging: Staging) -> str:
    """Do what `upload_content` does, with PLACE=through."""
    if not lifecycle.prolong(file.surface, file.key, file.expires_at):
        try:
            with _sent((file, staging)) as sent:
                _add(policy, *sent)
        except Exists:  # another upload of this content was faster
            if not lifecycle.prolong(file.surface, file.key, file.expires_at):
                raise
    return file.key


def _uploaded(file: NewFile, manage_key: str | None) -> Uploaded:
    return Uploaded(file.key, file.name, file.size, file.expires_at, file.downloads, manage_key)


def _new(
    policy: Policy,
    staging: Staging,
    *,
    name: str,
    expires_in: int | None,
    token_id: int | None,
    blob: str | None = None,
    manage_key: str | None,
) -> NewFile:
    """Return the new row of a file. Raises TooLarge and Malformed."""
    _check_size(policy, staging)
    safe = check_name(policy, name)
    return NewFile(
        surface=policy.surface,
        key=policy.new_key(safe),
        blob=blob or identifiers.random_hex(),
        name=safe,
        size=staging.size,
        expires_at=policy.expiry(expires_in),
        token_id=token_id,
        manage_digest=manage_key and manage_keys.digest(manage_key),
    )


def _publish(policy: Policy, *new: tuple[NewFile, Staging]) -> None:
    """Make files durable and add their rows, all or none. Raises Exists, QuotaExceeded and StorageFull."""
    if settings.place == "through":
        with _sent(*new) as sent:
            _add(policy, *sent)
        return
    for _, staging in new:
        staging.sync()
    prepared.check_reachable()
    published: list[NewFile] = []
    with ExitStack() as stack:
        for folder in sorted({file.blob[:2] for file, _ in new}):  # sorted, so that no two uploads deadlock
            stack.enter_context(blobs.locked(policy.surface, folder))
        try:
            for file, staging in new:
                pending = blobs.publish(staging, file.surface, file.blob)
                published.append(file._replace(pending=pending, modified=staging.modified))
            _add(policy, *published)
        except (Exists, QuotaExceeded, StorageFull):
            for file in published:
                blobs.unpublish(file.surface, file.blob)
            raise
        # After any other error the rows may be there, so the bytes stay until reconciliation.


@contextmanager
def _sent(*new: tuple[NewFile, Staging]) -> Iterator[list[NewFile]]:
    """Put files into the object store, and yield what their rows say; if those cannot be added, remove the objects.

    After a crash before the rows, reconciliation removes them. Raises Unavailable if the object store takes no file, or
    does not answer and others wait for it already.
    """
    prepared.check_reachable()
    sent: list[NewFile] = []
    try:
        with blobs.objects.gate.passing():
            for file, staging in new:
                sent.append(file._replace(**placing.send(staging, file.surface, file.blob, digest=file.digest)))
        yield sent
    except (Exists, QuotaExceeded, Unavailable):
        for file in sent:
            placing.unsend(file.surface, file.blob)
        raise
    # After any other error the rows may be there.


def _add(policy: Policy, *files: NewFile) -> None:
    """Add rows, in place of expired ones if need be. Raises Exists and QuotaExceeded."""
    with api_tokens.charged(files[0].token_id, *(file.size for file in files)):
        try:
            catalog.add(*files)
        except Exists:
            # The old file may have expired: expire it now, unless the sweep just did.
            lifecycle.expire(File.surface == policy.surface, statements.among(File.key, [file.key for file in files]))
            catalog.add(*files)
    if not policy.makes_keys:
        for file in files:
            cache_generations.renew(file.surface, file.key)


def _check_size(policy: Policy, staging: Staging) -> None:
    if policy.max_bytes is not None and staging.size > policy.max_bytes:
        raise TooLarge
