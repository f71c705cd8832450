"""Makes a file of an upload that is whole, under the lock of its part. `services.resumable` and `joining` call it."""

from vimeo_api.core.errors import Malformed, NotFound
from vimeo_api.core.files import storing, types_by_content
from vimeo_api.core.files.storing import Uploaded
from vimeo_api.core.policy import Policy
from vimeo_api.core.resumable import checks, parts
from vimeo_api.core.resumable.rows import Upload
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.extensions import blobs

LASTING = ("sha256:", "sha512:")  # digests that a file may keep; the others can be forged


def stored(policy: Policy, upload: Upload) -> Uploaded:
    """Return the upload's file, which an attempt that was killed, or a worker, may have stored already.

    Raises what storing does, DigestMismatch, and NotFound for a file that a worker stored and that is gone again.
    """
    if policy.by_content and upload.file_key is not None:
        return Uploaded(upload.file_key, "", upload.offset, expires_at=None, downloads=1, manage_key=None)
    if not policy.by_content and (file := storing.uploaded_before(policy, upload.key)):
        return file
    if upload.file_key is not None:
        raise NotFound("The file of this upload is gone.")
    with parts.opened(upload.key, upload.offset) as staging:
        if upload.expected_digest:
            algorithm, _, expected = upload.expected_digest.partition(":")
            checks.check_digest(staging.digest(algorithm), bytes.fromhex(expected))
        if policy.by_content:
            if not staging.size:
                raise Malformed("The body is empty.")
            digest = storing.upload_content(policy, staging, token_id=upload.token_id)
            return Uploaded(digest, "", staging.size, expires_at=None, downloads=1, manage_key=None)
        try:
            return _stored(policy, upload, staging)
        except FileExistsError:  # that attempt was killed before it added the row
            with blobs.locked(policy.surface, upload.key):
                blobs.unpublish(policy.surface, upload.key)
            return _stored(policy, upload, staging)


def _stored(policy: Policy, upload: Upload, staging: Staging) -> Uploaded:
    digest = upload.expected_digest
    return storing.upload(
        policy,
        staging,
        name=upload.name,
        blob=upload.key,
        password_hash=upload.password_hash,
        content_type=types_by_content.detect(staging.head) if policy.sniffs else None,
        queue=upload.queue,
        digest=digest if digest and digest.startswith(LASTING) else None,
        expires_in=upload.expires_in,
        notify_url=upload.notify_url,
        downloads=upload.downloads,
        token_id=upload.token_id,
    )
