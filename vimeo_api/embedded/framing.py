"""Strict request framing for the embedded server: where one request ends and the next begins. `server` calls it.

werkzeug's own server accepts two Content-Lengths, reads `Content-Length: abc` as an empty body, and pads a truncated
chunk to its announced size. This module refuses what nginx refuses in production.
Sources: RFC 9112 sections 2.2, 3.2, 5 and 6; RFC 9110 section 5.6.2 (token).
"""

import io
import re
from email.errors import FirstHeaderLineIsContinuationDefect, InvalidHeaderDefect
from email.message import Message
from http import HTTPStatus
from urllib.parse import urlsplit

MAX_LINE_BYTES = 4096  # of a chunk's head, and of a trailer
MAX_TRAILERS = 100

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_METHOD = re.compile(r"[A-Z_-]+")  # methods are case-sensitive (RFC 9110, 9.1); werkzeug would take `get` for GET
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_HEAD = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_DOT_SEGMENT = re.compile(r"[^?#]*(?:/|%2f)(?:\.|%2e){1,2}(?:[/?#]|%2f|$)", re.IGNORECASE)  # RFC 3986, 3.3
_UNPRINTABLE = re.compile(r"[\x00\r\n]")
_DEFECTS = (FirstHeaderLineIsContinuationDefect, InvalidHeaderDefect)  # a fold of nothing, and a field without a name
_VERSIONS = frozenset({"HTTP/1.0", "HTTP/1.1"})
# What nginx refuses if it comes twice, even with the same value, beside what `refusal` looks at.
ONCE = (
    "Authorization",
    "Content-Range",
    "Expect",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
)


def is_token(text: str) -> bool:
    """Return whether a text can be a method or the name of a header."""
    return bool(_TOKEN.fullmatch(text))


def refusal(method: str, version: str, target: str, headers: Message) -> HTTPStatus | None:
    """Return the status that refuses an ambiguous or malformed request head, None for a sound one."""
    if version not in _VERSIONS:
        return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    if not (_METHOD.fullmatch(method) and _is_target(target) and _are_fields(headers) and _has_host(version, headers)):
        return HTTPStatus.BAD_REQUEST
    codings = headers.get_all("Transfer-Encoding", [])
    lengths = headers.get_all("Content-Length", [])
    if codings:
        return _refused_coding(version, codings, lengths)
    sound = not lengths or (len(lengths) == 1 and _LENGTH.fullmatch(lengths[0].strip(" \t")))
    return None if sound else HTTPStatus.BAD_REQUEST


def _refused_coding(version: str, codings: list[str], lengths: list[str]) -> HTTPStatus | None:
    if lengths or len(codings) > 1 or version != "HTTP/1.1":
        return HTTPStatus.BAD_REQUEST
    return None if codings[0].strip(" \t").lower() == "chunked" else HTTPStatus.NOT_IMPLEMENTED


def _is_target(target: str) -> bool:
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    if _DOT_SEGMENT.match(target):
        return False
    return target.startswith("/") or target == "*" or (parts.scheme == "http" and bool(parts.netloc))


def _are_fields(headers: Message) -> bool:
    # The mail parser takes the rest as a body once a line is not a field, and accepts blanks in names, folds and NULs.
    if headers.get_payload() or any(isinstance(defect, _DEFECTS) for defect in headers.defects):
        return False
    sound = all(is_token(name) and not _UNPRINTABLE.search(value) for name, value in headers.items())
    return sound and all(len(headers.get_all(name, [])) <= 1 for name in ONCE)


def _has_host(version: str, headers: Message) -> bool:
    return len(headers.get_all("Host", [])) == 1 or ("Host" not in headers and version == "HTTP/1.0")


class Chunked(io.RawIOBase):
    """The body of a chunked request; reading raises OSError if it is malformed or ends early."""

    def __init__(self, source: io.BufferedIOBase) -> None:
        """Read chunks from `source`, up to the end of the trailers."""
        self._source = source
        self._left = 0
        self._done = False
        self._broken = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Put the next bytes of one chunk into the buffer and return their number, 0 at the end."""
        if self._broken:  # what follows could look like a chunk
            raise OSError("The body is broken.")
        self._broken = True
        count = self._read_chunk(buffer)
        self._broken = False
        return count

    def _read_chunk(self, buffer: bytearray | memoryview) -> int:
        if not self._left and not self._done:
            self._begin()
        wanted = min(len(buffer), self._left)
        if not wanted:
            return 0
        data = self._source.read(wanted)
        if len(data) < wanted:
            raise OSError("The body ends within a chunk.")
        buffer[:wanted] = data
        self._left -= wanted
        if not self._left and self._source.readline(3) not in {b"\r\n", b"\n"}:
            raise OSError("A chunk is longer than it says.")
        return wanted

    def _begin(self) -> None:
        head = _CHUNK_HEAD.fullmatch(self._source.readline(MAX_LINE_BYTES))
        if head is None:
            raise OSError("A chunk has no size.")
        self._left = int(head[1], 16)
        self._done = not self._left
        if self._done:
            self._pass_trailers()

    def _pass_trailers(self) -> None:
        for _ in range(MAX_TRAILERS):
            line = self._source.readline(MAX_LINE_BYTES)
            if line in {b"\r\n", b"\n"}:
                return
            if not line.endswith(b"\n"):
                break
        raise OSError("The trailers of the body are broken.")
