"""The grammar of multipart/form-data, the same for streamed and spooled bodies. `receive` builds forms from its events.

Delimiters are found here, byte for byte; the library `multipart` parses the headers of each part. Every line ends with
CRLF, and a boundary ends its line: the white space that RFC 2046 allows there is refused, as no form client sends it.
Sources: RFC 7578, RFC 2046 section 5.1.1.
"""

from collections.abc import Iterator
from typing import TypeAlias

from multipart import MultipartError, MultipartSegment, PushMultipartParser

from vimeo_api.core.errors import Malformed
from vimeo_api.web.receiving.body_sources import Piece, Source

MAX_PARTS = 100
# Of the preamble, or of one part's headers; more than the library accepts of those, however folded.
MAX_HEAD_BYTES = 128 * 1024
MAX_BOUNDARY_BYTES = 200  # RFC 2046 allows 70, but some clients make slightly longer ones

Event: TypeAlias = MultipartSegment | Piece | None


def events(source: Source, boundary: str) -> Iterator[Event]:
    """Yield for each part its headers, its content in pieces (some may be empty), and None.

    Raises Malformed as soon as the body breaks the grammar. Anything after the last boundary is ignored.
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
    """Return the bytes before `end`. Raises Malformed if they are too many."""
    head = b""
    for piece in source.until(end):
        if len(head) + len(piece) > MAX_HEAD_BYTES:
            raise Malformed("The multipart body is broken: the headers of a part are too long.")
        head += bytes(piece)
    return head


def _segment(head: bytes) -> MultipartSegment:
    """Parse the headers of a part, by giving the library a body that ends after them.

    As Latin-1, which keeps every byte: old clients send names in other character sets.
    """
    parser = PushMultipartParser("b", header_charset="latin-1")
    try:
        return next(parser.parse(b"--b\r\n" + head + b"\r\n\r\n"))
    except MultipartError as error:
        raise Malformed(f"The multipart body is broken: {error}.") from error


def _content(source: Source, delimiter: bytes, segment: MultipartSegment) -> Iterator[Piece]:
    """Yield the content of a part. Raises Malformed if it does not match the part's Content-Length."""
    announced = segment.header("Content-Length")
    size = 0
    for piece in source.until(delimiter):
        size += len(piece)
        yield piece
    if announced is not None and size != int(announced):
        raise Malformed("The multipart body is broken: a part is not as long as it says.")
