"""What the bytes of a resumable upload must be: at the right place, not too many, with their digest."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from vimeo_api.core.errors import DigestMismatch, Final, Inconsistent, TooLarge, WrongOffset
from vimeo_api.core.policy import Policy
from vimeo_api.core.resumable.rows import Upload


@dataclass(frozen=True, slots=True)
class Content:
    """What a request says about the bytes that it brings."""

    length: int | None = None  # of the whole upload, if it is known from now on
    size: int | None = None  # of the request's body, if it says so
    closed: bool = True  # whether the upload is complete once its length is reached
    ends: bool = False  # whether it ends with this body, however long that is
    digests: Sequence[tuple[str, bytes]] = ()  # of the body: hashlib's names and what they must be


def check_append(policy: Policy, upload: Upload, offset: int, content: Content) -> None:
    """Raise what keeps a request from appending: Final, WrongOffset, Inconsistent or TooLarge."""
    if upload.is_final:
        raise Final("An upload that is joined from others takes no bytes of its own.")
    if offset != upload.offset or upload.is_finished:
        raise WrongOffset(upload.offset)
    if content.length is not None:
        if upload.length not in {None, content.length}:
            raise Inconsistent(f"The length of the upload is {upload.length} bytes, and stays so.")
        if content.length < upload.offset:
            raise Inconsistent(f"The upload has {upload.offset} bytes already.")
        check_size(policy, content.length)
    length = upload.length if content.length is None else content.length
    if content.size is not None and length is not None and offset + content.size > length:
        raise TooLarge("The body goes beyond the length of the upload.")
    check_size(policy, offset + (content.size or 0))


def check_end(policy: Policy, upload: Upload, to: int) -> None:
    """Raise TooLarge for bytes beyond the length of the upload, or beyond what the surface takes."""
    if upload.length is not None and to > upload.length:
        raise TooLarge("The body goes beyond the length of the upload.")
    check_size(policy, to)


def check_size(policy: Policy, size: int) -> None:
    """Raise TooLarge for more bytes than the surface takes."""
    if policy.max_bytes is not None and size > policy.max_bytes:
        raise TooLarge


def check_digest(found: str, expected: bytes) -> None:
    """Raise DigestMismatch unless a digest in hexadecimal is the expected one."""
    if not hmac.compare_digest(found, expected.hex()):
        raise DigestMismatch("The bytes do not have the digest that the request says.")
