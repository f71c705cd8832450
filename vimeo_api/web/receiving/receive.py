"""From a request to staged bytes, in memory that does not grow with the body. Views call it, then a service.

Source: RFC 7578 (multipart/form-data).
"""

import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import request
from multipart import MultipartSegment
from werkzeug.http import parse_options_header

from vimeo_api.core.errors import Malformed, TooLarge
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.extensions import blobs
from vimeo_api.web.receiving import bodies, multipart_forms
from vimeo_api.web.receiving.body_sources import Keeper, Piece, Source, Spooled, Streamed

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
        with blobs.adopt(spooled) as staging:
            yield staging
        return
    with blobs.stage() as staging:
        with bodies.opened(max_bytes) as read:
            while data := read(bodies.READ_CHUNK):
                staging.write(data)
        yield staging


def text(max_bytes: int) -> bytes:
    """Return the current request's whole body, of a few KiB. Raises Malformed and TooLarge."""
    with bodies.opened(max_bytes) as read:
        return b"".join(iter(lambda: read(bodies.READ_CHUNK), b""))


def json_object(max_bytes: int) -> dict[str, Any]:
    """Return the object that the current request's body is as JSON. Raises Malformed and TooLarge."""
    try:
        value: Any = json.loads(text(max_bytes))
    except (ValueError, RecursionError):
        raise Malformed("The body is no JSON.") from None
    if not isinstance(value, dict):
        raise Malformed("The body is no JSON object.")
    return value


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
        form = _read_form(_Collector(max_bytes, prefer, stack), max_bytes, stack)
        if form.keeper is None:
            raise Malformed("The body holds no file.")
        yield Form(form.keeper.staging(), form.filename, form.fields)


def fields() -> dict[str, str]:
    """Return the fields of the current request's multipart body; files are passed over. Raises Malformed."""
    with ExitStack() as stack:
        return _read_form(_Collector(0, None, stack, files=False), 0, stack).fields


def _read_form(collector: "_Collector", max_bytes: int | None, stack: ExitStack) -> "_Collector":
    kind, options = parse_options_header(request.headers.get("Content-Type"))
    if kind != "multipart/form-data":
        raise Malformed("The body must be multipart/form-data with a boundary.")
    boundary = options.get("boundary", "")
    whole = None if max_bytes is None else max_bytes + MULTIPART_OVERHEAD
    if (spooled := bodies.spooled_file()) is None:
        with bodies.opened(whole) as read:
            collector.collect(Streamed(read), boundary)
    else:
        body = stack.enter_context(blobs.adopt(spooled))
        if whole is not None and body.size > whole:
            raise TooLarge
        collector.collect(Spooled(body), boundary)
    return collector


class _Collector:
    """Makes a form of the parts that `multipart_forms` finds."""

    def __init__(self, max_bytes: int | None, prefer: str | None, stack: ExitStack, *, files: bool = True) -> None:
        self.keeper: Keeper | None = None
        self.filename = ""
        self.fields: dict[str, str] = {}
        self._max_bytes = max_bytes
        self._prefer = prefer
        self._stack = stack
        self._wants_file = files

    def collect(self, source: Source, boundary: str) -> None:
        part = _Skipped()
        for event in multipart_forms.events(source, boundary):
            if event is None:
                part.finish()
            elif isinstance(event, MultipartSegment):
                part = self._begun(event, source)
            else:
                part.take(event)

    def _begun(self, segment: MultipartSegment, source: Source) -> "_Skipped":
        name = _filename(segment)
        if not name:
            return _Field(segment.name, self.fields)
        preferred = self._prefer is not None and segment.name == self._prefer
        if not self._wants_file or (self.keeper is not None and not preferred):
            return _Skipped()
        self._wants_file = not preferred and self._prefer is not None
        self.filename = name
        self.keeper = source.keeper(self._stack)
        return _File(self.keeper, self._max_bytes)


def _filename(segment: MultipartSegment) -> str:
    """Return the file name of a part, or "" for a part that is no file.

    RFC 7578 forbids `filename*`, yet older `requests` send it for names that are not ASCII.
    """
    if segment.filename is not None:
        return str(segment.filename)
    return parse_options_header(segment.header("Content-Disposition"))[1].get("filename", "")


class _Skipped:
    """A part nobody wants."""

    def take(self, piece: Piece) -> None:
        """Take a piece of the part."""

    def finish(self) -> None:
        """Take its end."""


class _File(_Skipped):
    def __init__(self, keeper: Keeper, max_bytes: int | None) -> None:
        self._keeper = keeper
        self._left = math.inf if max_bytes is None else max_bytes

    def take(self, piece: Piece) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise TooLarge
        self._keeper.add(piece)


class _Field(_Skipped):
    def __init__(self, name: str, fields: dict[str, str]) -> None:
        self._name = name
        self._fields = fields
        self._value = b""

    def take(self, piece: Piece) -> None:
        if len(self._value) + len(piece) > MAX_FIELD_BYTES:
            raise Malformed("A form field is too long.")
        self._value += bytes(piece)

    def finish(self) -> None:
        try:
            self._fields.setdefault(self._name, self._value.decode())
        except UnicodeDecodeError:
            raise Malformed("A form field is not UTF-8.") from None
