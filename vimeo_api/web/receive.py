"""From a request to staged bytes, in memory that does not grow with the body. Views call it, then a service.

Source: RFC 7578 (multipart/form-data).
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from flask import request
from multipart import MultipartError, MultipartSegment, PushMultipartParser
from werkzeug.http import parse_options_header

from vimeo_api.core import storage
from vimeo_api.core.errors import Malformed, TooLarge
from vimeo_api.core.storage import Staging
from vimeo_api.web import bodies

MAX_PARTS = 100
MAX_FIELD_BYTES = 64 * 1024  # of one form field that is no file
# What a multipart body may hold beside the file: fields, part headers, boundaries. nginx's limit adds the same.
MULTIPART_OVERHEAD = 1024**2


@dataclass(slots=True)
class Form:
    """A multipart body: its first file part as staged bytes, and its fields."""

    staging: Staging
    filename: str
    fields: dict[str, str] = field(default_factory=dict)


@contextmanager
def form(max_bytes: int) -> Iterator[Form]:
    """Stage the file of the current request's multipart body; what is not published by the end is discarded.

    The first part with a file name is the file, whatever its field is called; other files are passed over.
    Raises Malformed for a body that is no complete multipart/form-data with a file in it, TooLarge when the file
    is over the limit, and StorageFull.
    """
    with ExitStack() as stack:
        with bodies.opened(max_bytes + MULTIPART_OVERHEAD) as read:
            parser = _parser()
            try:
                result = _collected(parser.parse_blocking(read, bodies.CHUNK), max_bytes, stack)
            except MultipartError as error:
                raise Malformed(f"The multipart body is broken: {error}.") from error
        yield result


def _parser() -> PushMultipartParser:
    kind, options = parse_options_header(request.headers.get("Content-Type"))
    boundary = options.get("boundary", "")
    # RFC 2046 section 5.1.1 bounds the boundary; a longer one only slows the search for it.
    if kind != "multipart/form-data" or not 0 < len(boundary.encode()) <= 70:  # noqa: PLR2004
        raise Malformed("The body must be multipart/form-data with a boundary.")
    try:
        return PushMultipartParser(boundary, max_segment_count=MAX_PARTS)
    except MultipartError as error:
        raise Malformed(f"The multipart body is broken: {error}.") from error


def _collected(events: Iterable[MultipartSegment | bytes | None], max_bytes: int, stack: ExitStack) -> Form:
    """Consume the parser's events: a segment, its bytes in pieces, None at its end."""
    staging: Staging | None = None
    filename = ""
    fields: dict[str, str] = {}
    part = _Skipped()
    for event in events:
        if event is None:
            part.finish()
        elif isinstance(event, bytes | bytearray):
            part.write(bytes(event))
        elif name := _filename(event):
            part = _Skipped()
            if staging is None:
                filename, staging = name, stack.enter_context(storage.stage())
                part = _File(staging, max_bytes)
        else:
            part = _Field(event.name, fields)
    if staging is None:
        raise Malformed("The body holds no file.")
    return Form(staging, filename, fields)


def _filename(segment: MultipartSegment) -> str:
    """Return the file name of a part, or "" for a part that is no file.

    RFC 7578 forbids `filename*`, yet older `requests` send it for names that are not ASCII.
    """
    if segment.filename is not None:
        return str(segment.filename)
    return parse_options_header(segment.header("Content-Disposition"))[1].get("filename", "")


class _Skipped:
    """A part nobody wants."""

    def write(self, data: bytes) -> None:
        """Take a piece of the part."""

    def finish(self) -> None:
        """Take its end."""


class _File(_Skipped):
    def __init__(self, staging: Staging, max_bytes: int) -> None:
        self._staging = staging
        self._left = max_bytes

    def write(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge
        self._staging.write(data)


class _Field(_Skipped):
    def __init__(self, name: str, fields: dict[str, str]) -> None:
        self._name = name
        self._fields = fields
        self._value = bytearray()

    def write(self, data: bytes) -> None:
        self._value += data
        if len(self._value) > MAX_FIELD_BYTES:
            raise Malformed("A form field is too long.")

    def finish(self) -> None:
        try:
            self._fields.setdefault(self._name, self._value.decode())
        except UnicodeDecodeError:
            raise Malformed("A form field is not UTF-8.") from None
