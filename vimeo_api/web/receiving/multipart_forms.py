"""The structure of a multipart/form-data body: one grammar, whether it streams in or lies in a file.

Delimiters are found here, byte for byte; the headers of each part are read by the library `multipart`. Every line ends
with CRLF, and nothing may stand between a boundary and the end of its line: no client of forms has ever sent the white
space that RFC 2046 would allow there. Sources: RFC 7578, RFC 2046 section 5.1.1.
"""

from collections.abc import Iterator
from typing import TypeAlias

from multipart import MultipartError, MultipartSegment, PushMultipartParser

from vimeo_api.core.errors import Malformed
from vimeo_api.web.receiving.body_sources import Piece, Source

MAX_PARTS = 100
# Of what stands before the first part, or of the headers of one: more than the library takes of those, however folded.
MAX_HEAD_BYTES = 128 * 1024
MAX_BOUNDARY_BYTES = 70  # RFC 2046, 5.1.1; a longer one only slows the search

Event: TypeAlias = MultipartSegment | Piece | None


def events(source: Source, boundary: str) -> Iterator[Event]:
    """Yield for each part its headers, its content in pieces, some of them empty, and None.

    Raises Malformed as soon as the body breaks the grammar. What follows the last boundary means nothing.
    """
    delimiter = _delimiter(boundary)
    _skip_preamble(source, delimiter)
    parts = 0
    while (after := source.take(2)) == b"\r\n":
        parts += 1
        if parts > MAX_PARTS:
            raise Malformed(f"The multipart body has more than {MAX_PARTS} parts.")
        segment = _segment(_head(source, b"\r\n\r\n"))
        yield segment
        yield from _content(source, delimiter, segment)
        yield None
    if after != b"--":
        raise Malformed("The multipart body is broken: something follows a boundary on its line.")
    source.drain()


def _delimiter(boundary: str) -> bytes:
    encoded = boundary.encode()
    if not 0 < len(encoded) <= MAX_BOUNDARY_BYTES or b"\n" in encoded:
        raise Malformed("The body must be multipart/form-data with a boundary.")
    return b"\r\n--" + encoded


def _skip_preamble(source: Source, delimiter: bytes) -> None:
    preamble = _head(source, delimiter.removeprefix(b"\r\n"))
    if preamble and not preamble.endswith(b"\r\n"):
        raise Malformed("The multipart body is broken: its first boundary does not begin a line.")


def _head(source: Source, end: bytes) -> bytes:
    """Return what comes before `end`."""
    head = b""
    for piece in source.until(end):
        if len(head) + len(piece) > MAX_HEAD_BYTES:
            raise Malformed("The multipart body is broken: the headers of a part are too long.")
        head += bytes(piece)
    return head


def _segment(head: bytes) -> MultipartSegment:
    """Return the headers of a part, by letting the library read a body that breaks off after them.

    Byte for byte, as Latin-1: old clients send names in character sets of their own.
    """
    parser = PushMultipartParser("b", header_charset="latin-1")
    try:
        return next(parser.parse(b"--b\r\n" + head + b"\r\n\r\n"))
    except MultipartError as error:
        raise Malformed(f"The multipart body is broken: {error}.") from error


def _content(source: Source, delimiter: bytes, segment: MultipartSegment) -> Iterator[Piece]:
    """Yield the content of a part, as long as it says it is if it does."""
    announced = segment.header("Content-Length")
    size = 0
    for piece in source.until(delimiter):
        size += len(piece)
        yield piece
    if announced is not None and size != int(announced):
        raise Malformed("The multipart body is broken: a part is not as long as it says.")
