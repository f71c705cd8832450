"""The headers of tus 1.0.0, https://tus.io/protocols/resumable-upload, with all its extensions but trailers."""

import base64
import binascii
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from flask import request
from werkzeug.exceptions import PreconditionFailed, UnsupportedMediaType

from vimeo_api.core.errors import Malformed

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation"
MEDIA_TYPE = "application/offset+octet-stream"
ALGORITHMS = ("sha1", "sha256", "md5")
CHECKSUM_MISMATCH = 460  # the protocol's own status
# What clients send beside our fields: the name, and what nobody needs.
NAMES = ("filename", "name")
IGNORED = frozenset({"filetype", "type", "relativePath", "contentType", *NAMES})
MAX_SOURCES = 1000  # partial uploads in one file
_SECRETS = frozenset({"password", "notify"})  # a URL may be a secret, too
_DIGITS = re.compile(r"[0-9]{1,18}")
_SOURCE = re.compile(r"/uploads/([a-z]+)/([0-9a-f]{32})")


class OtherVersion(PreconditionFailed):
    """The client does not say that it speaks our version."""

    def get_headers(self, *_: object, **__: object) -> list[tuple[str, str]]:
        """Return the version that we speak."""
        return [("Tus-Version", VERSION)]


def is_meant() -> bool:
    """Return whether the current request speaks tus."""
    return "Tus-Resumable" in request.headers or request.mimetype == MEDIA_TYPE


def check_version() -> None:
    """Raise OtherVersion unless the current request is in our version."""
    if request.headers.get("Tus-Resumable") != VERSION:
        raise OtherVersion("This service speaks tus 1.0.0.")


def check_media_type() -> None:
    """Raise UnsupportedMediaType unless the body is what PATCH appends."""
    if request.mimetype != MEDIA_TYPE:
        raise UnsupportedMediaType(f"The Content-Type must be {MEDIA_TYPE}.")


def number(name: str) -> int | None:
    """Return a header that is a number of bytes, None without it. Raises Malformed."""
    text = request.headers.get(name)
    if text is None:
        return None
    if not _DIGITS.fullmatch(text):
        raise Malformed(f"{name} must be a number of bytes.")
    return int(text)


def offset() -> int:
    """Return `Upload-Offset`. Raises Malformed."""
    value = number("Upload-Offset")
    if value is None:
        raise Malformed("Upload-Offset is missing.")
    return value


def new_length() -> int | None:
    """Return the length of an upload that begins, None if it is deferred. Raises Malformed."""
    length, deferred = number("Upload-Length"), request.headers.get("Upload-Defer-Length")
    if deferred not in {None, "1"} or (length is None) == (deferred is None):
        raise Malformed("An upload begins with either Upload-Length or Upload-Defer-Length: 1.")
    return length


def metadata() -> dict[str, bytes]:
    """Return the pairs of `Upload-Metadata`. Raises Malformed."""
    pairs: dict[str, bytes] = {}
    for pair in filter(None, (one.strip() for one in _described().split(","))):
        name, _, value = pair.partition(" ")
        try:
            decoded = base64.b64decode(value, validate=True)
        except binascii.Error:
            raise Malformed(f"Upload-Metadata: the value of {name[:50]!r} is not base64.") from None
        if name in pairs:
            raise Malformed(f"Upload-Metadata has {name[:50]!r} twice.")
        pairs[name] = decoded
    return pairs


def fields() -> dict[str, str]:
    """Return the pairs of `Upload-Metadata` as text. Raises Malformed."""
    return {name: _text(name, value) for name, value in metadata().items()}


def file_name(sent: Mapping[str, str]) -> str:
    """Return the file name among the fields, "" without one."""
    return next((sent[name] for name in NAMES if sent.get(name)), "")


def repeatable() -> str:
    """Return `Upload-Metadata` as HEAD repeats it: as it was sent, without what may be a secret."""
    pairs = (pair.strip() for pair in _described().split(","))
    return ",".join(pair for pair in pairs if pair and pair.split(" ")[0] not in _SECRETS)


def checksum() -> list[tuple[str, bytes]]:
    """Return algorithm and digest of `Upload-Checksum`, if it was sent. Raises Malformed."""
    text = request.headers.get("Upload-Checksum")
    if text is None:
        return []
    algorithm, _, value = text.partition(" ")
    if algorithm not in ALGORITHMS:
        raise Malformed(f"Upload-Checksum: the algorithms are {', '.join(ALGORITHMS)}.")
    try:
        return [(algorithm, base64.b64decode(value, validate=True))]
    except binascii.Error:
        raise Malformed("Upload-Checksum is not base64.") from None


def concat() -> str:
    """Return `Upload-Concat`, "" without one. Raises Malformed."""
    text = request.headers.get("Upload-Concat", "")
    if text not in {"", "partial"} and not text.startswith("final;"):
        raise Malformed("Upload-Concat is `partial`, or `final;` and the URLs of partial uploads.")
    return text


def sources(concat: str, surface: str) -> list[str]:
    """Return the keys of the uploads that a final one is joined from. Raises Malformed."""
    urls = concat.removeprefix("final;").split()
    found = [_SOURCE.search(urlsplit(url).path) for url in urls]
    keys = [match[2] for match in found if match and match[1] == surface and match.end() == len(match.string)]
    if not 0 < len(keys) == len(urls) <= MAX_SOURCES:
        raise Malformed(f"Upload-Concat names 1 to {MAX_SOURCES} uploads to the same surface.")
    return keys


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Malformed(f"Upload-Metadata: {name[:50]!r} is not UTF-8.") from None


def _described() -> str:
    return request.headers.get("Upload-Metadata", "")
