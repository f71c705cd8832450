"""From a request to staged bytes, in memory that does not grow with the body. Views call it, then a service.

Source: RFC 7578 (multipart/form-data).
"""

import math
from collections.abc import Iterator
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
MAX_LIFE_DIGITS = 9  # 31 years
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
def raw(max_bytes: int | None) -> Iterator[Staging]:
    """Stage the current request's body as it is, whatever its type; what is not published by the end is discarded.

    In production the file that nginx has spooled is taken over, and not copied. Raises Malformed for a
    body that is too short, TooLarge, and StorageFull.
    """
    if (spooled := bodies.spooled_file()) is not None:
        with storage.adopt(spooled) as staging:
            yield staging
        return
    with storage.stage() as staging:
        with bodies.opened(max_bytes) as read:
            while data := read(bodies.CHUNK):
                staging.write(data)
        yield staging


def text(max_bytes: int) -> bytes:
    """Return the current request's whole body, of a few KiB. Raises Malformed and TooLarge."""
    with bodies.opened(max_bytes) as read:
        return b"".join(iter(lambda: read(bodies.CHUNK), b""))


def expires_in(value: object) -> int | None:
    """Return the seconds that a client wants a file to live, as a number or its digits. Raises Malformed."""
    if value is None:
        return None
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_LIFE_DIGITS and int(text)):
        raise Malformed("expires_in must be a number of seconds.")
    return int(text)


def is_form() -> bool:
    """Return whether the current request says that its body is multipart/form-data."""
    return request.mimetype == "multipart/form-data"


@contextmanager
def form(max_bytes: int | None, *, prefer: str | None = None) -> Iterator[Form]:
    """Stage the file of the current request's multipart body; what is not published by the end is discarded.

    The file is the first file part of the preferred field, else the first one of all, whatever its field is called;
    others are passed over. Raises Malformed for a body that is no complete multipart/form-data with a file in it,
    TooLarge when the file is over the limit, and StorageFull.
    """
    with ExitStack() as stack:
        form = _read_form(_Collector(max_bytes, prefer, stack), max_bytes)
        if form.staging is None:
            raise Malformed("The body holds no file.")
        yield Form(form.staging, form.filename, form.fields)


def fields() -> dict[str, str]:
    """Return the fields of the current request's multipart body; files are passed over. Raises Malformed."""
    with ExitStack() as stack:
        return _read_form(_Collector(0, None, stack, files=False), 0).fields


def _read_form(collector: "_Collector", max_bytes: int | None) -> "_Collector":
    whole = None if max_bytes is None else max_bytes + MULTIPART_OVERHEAD
    with bodies.opened(whole) as read:
        parser = _parser()
        try:
            for event in parser.parse_blocking(read, bodies.CHUNK):
                collector.take(event)
        except MultipartError as error:
            raise Malformed(f"The multipart body is broken: {error}.") from error
    return collector


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


class _Collector:
    """Makes a form of the parser's events: a segment, its bytes in pieces, None at its end."""

    def __init__(self, max_bytes: int | None, prefer: str | None, stack: ExitStack, *, files: bool = True) -> None:
        self.staging: Staging | None = None
        self.filename = ""
        self.fields: dict[str, str] = {}
        self._max_bytes = max_bytes
        self._prefer = prefer
        self._stack = stack
        self._wants_file = files
        self._part = _Skipped()

    def take(self, event: MultipartSegment | bytes | None) -> None:
        if event is None:
            self._part.finish()
        elif isinstance(event, bytes | bytearray):
            self._part.write(bytes(event))
        else:
            self._part = self._begun(event)

    def _begun(self, segment: MultipartSegment) -> "_Skipped":
        name = _filename(segment)
        if not name:
            return _Field(segment.name, self.fields)
        preferred = self._prefer is not None and segment.name == self._prefer
        if not self._wants_file or (self.staging is not None and not preferred):
            return _Skipped()
        self._wants_file = not preferred and self._prefer is not None
        self.filename = name
        self.staging = self._stack.enter_context(storage.stage())
        return _File(self.staging, self._max_bytes)


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
    def __init__(self, staging: Staging, max_bytes: int | None) -> None:
        self._staging = staging
        self._left = math.inf if max_bytes is None else max_bytes

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
