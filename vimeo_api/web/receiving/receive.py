"""Stage the body of a request, in memory that does not grow with the body. Views call this, then a service.

Source: RFC 7578 (multipart/form-data).
"""

import json
import math
import re
from collections.abc import Container, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from flask import request
from multipart import MultipartSegment

from vimeo_api.config.settings import MULTIPART_OVERHEAD
from vimeo_api.config.values import seconds
from vimeo_api.core import content_disposition
from vimeo_api.core.errors import Malformed, TooLarge
from vimeo_api.core.files.slots import MOST
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.extensions import blobs
from vimeo_api.web.receiving import bodies, body_digests, multipart_forms
from vimeo_api.web.receiving.body_sources import Keeper, Piece, Source, Spooled, Streamed

MAX_LIFE = 999_999_999  # seconds, 31 years
_DIGITS = re.compile(r"[0-9]{1,9}")
# What an upload may ask for on some surfaces. Elsewhere it is refused: a client that set a password relies on it.
OPTIONS = ("password", "downloads", "notify", "expires_in")
PASSWORD_HEADER = "X-File-Password"  # noqa: S105 -- a name
MAX_FIELD_BYTES = 64 * 1024  # of a form field that is not a file


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file part of a form."""

    field: str
    name: str  # as the client sent it
    staging: Staging


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart body: its file parts in their order, at least one, and its fields."""

    files: list[FormFile]
    fields: dict[str, str]

    def named(self) -> list[tuple[str, Staging]]:
        """Return all files, each with the name that its client gave it."""
        return [(file.name, file.staging) for file in self.files]

    def file(self, prefer: str | None = None) -> FormFile:
        """Return the only file in the preferred field, else the only file of the form.

        Raises Malformed if there are several.
        """
        meant = [file for file in self.files if file.field == prefer] or self.files
        if len(meant) > 1:
            raise Malformed(f"The form has {len(meant)} files where one is expected.")
        return meant[0]


def check_options(sent: Container[str], known: Container[str]) -> None:
    """Raise Malformed for an option that the surface does not have, among the fields of an upload or in its request."""
    for name in OPTIONS:
        asked = name in sent or name in request.args or (name == "password" and PASSWORD_HEADER in request.headers)
        if asked and name not in known:
            raise Malformed(f"Uploads here cannot have `{name}`; those to /vimeo/api/v1.0/file can.")


@contextmanager
def raw(max_bytes: int | None, *, options: Container[str] = frozenset()) -> Iterator[Staging]:
    """Stage the current request's body as it is, whatever its type; discard it at the end unless it is published.

    In production the file that nginx has spooled is adopted, not copied. Raises Malformed for a body that ends early
    and for an option that is not one of `options`, DigestMismatch, TooLarge and StorageFull.
    """
    if (spooled := bodies.spooled_file()) is not None:
        with blobs.adopt(spooled) as staging:
            body_digests.check(staging)
            check_options(frozenset(), options)
            yield staging
        return
    with blobs.stage() as staging:
        with bodies.opened(max_bytes) as body:
            read = body_digests.checked(body)
            while data := read(bodies.READ_CHUNK):
                staging.write(data)
        check_options(frozenset(), options)
        yield staging


def text(max_bytes: int) -> bytes:
    """Read the current request's whole body into memory. Raises Malformed and TooLarge."""
    with bodies.opened(max_bytes, kept=False) as body:
        read = body_digests.checked(body)
        return b"".join(iter(lambda: read(bodies.READ_CHUNK), b""))


def urlencoded(max_bytes: int) -> dict[str, str]:
    """Return the fields of the current request's urlencoded form, without empty ones. Raises Malformed and TooLarge."""
    try:
        fields = parse_qs(text(max_bytes).decode("ascii"), max_num_fields=100, errors="strict")
    except ValueError:
        raise Malformed("The form is not urlencoded.") from None
    return {name: values[0] for name, values in fields.items()}


def json_object(max_bytes: int) -> dict[str, Any]:
    """Return the JSON object in the current request's body. Raises Malformed and TooLarge."""
    try:
        value: Any = json.loads(text(max_bytes))
    except (ValueError, RecursionError):
        raise Malformed("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise Malformed("The body is not a JSON object.")
    return value


def expires_in(value: object) -> int | None:
    """Return the lifetime that a client asks for, in seconds, from a number or a text like `7d`. Raises Malformed."""
    if value is None:
        return None
    try:
        life = seconds(str(value))
    except ValueError:
        life = 0
    if not 0 < life <= MAX_LIFE:
        raise Malformed("expires_in must be a number of seconds, or a duration such as 30m, 12h or 7d.")
    return life


def lifetime(field: object = None) -> int | None:
    """Return the lifetime that the current request asks for, by its field or in the query. Raises Malformed."""
    sent = {expires_in(value) for value in (field, *request.args.getlist("expires_in")) if value is not None}
    if len(sent) > 1:
        raise Malformed("The request has two values of expires_in.")
    return sent.pop() if sent else None


def downloads(value: str | None) -> int:
    """Return how often a client wants a file to be downloaded, once by default. Raises Malformed."""
    return number("downloads", value, default=1, most=MOST)


def number(name: str, value: str | None, *, default: int, most: int) -> int:
    """Return the number from 1 to `most` that a client sends. Raises Malformed."""
    if value is None:
        return default
    found = int(value) if _DIGITS.fullmatch(value) else 0
    if not 1 <= found <= most:
        raise Malformed(f"{name} must be a number from 1 to {most}.")
    return found


def is_form() -> bool:
    """Return whether the current request's Content-Type is multipart/form-data."""
    return request.mimetype == "multipart/form-data"


@contextmanager
def form(max_bytes: int | None, *, fields: Container[str] = frozenset()) -> Iterator[Form]:
    """Stage the files of the current request's multipart body; discard them at the end unless they are published.

    A part with a file name is a file, unless its name is one of the `fields`: browsers give every Blob a file name.
    Raises Malformed if the body is not complete multipart/form-data with a file in it, and for an option that is not
    one of the `fields`; DigestMismatch; TooLarge for a file over the limit; and StorageFull.
    """
    with ExitStack() as stack:
        form = _read_form(_Collector(max_bytes, fields, stack), max_bytes, stack)
        if not form.files:
            raise Malformed("The body holds no file.")
        check_options(form.fields, fields)
        *others, last = form.files
        files = [FormFile(field, name, keeper.staging(last=False)) for field, name, keeper in others]
        files.append(FormFile(last[0], last[1], last[2].staging(last=True)))
        yield Form(files, form.fields)


def fields(names: Container[str]) -> dict[str, str]:
    """Return the fields of the current request's multipart body; skip files under other names. Raises Malformed."""
    with ExitStack() as stack:
        return _read_form(_Collector(0, names, stack, files=False), 0, stack).fields


def _read_form(collector: "_Collector", max_bytes: int | None, stack: ExitStack) -> "_Collector":
    boundary = request.mimetype_params.get("boundary", "") if is_form() else ""
    if not boundary:
        raise Malformed("The body must be multipart/form-data with a boundary.")
    whole = None if max_bytes is None else max_bytes + MULTIPART_OVERHEAD
    if (spooled := bodies.spooled_file()) is None:
        with bodies.opened(whole) as read:
            collector.collect(Streamed(body_digests.checked(read)), boundary)
    else:
        body = stack.enter_context(blobs.adopt(spooled))
        if whole is not None and body.size > whole:
            raise TooLarge
        body_digests.check(body)
        collector.collect(Spooled(body), boundary)
    return collector


class _Collector:
    """Builds a form from the parts that `multipart_forms` finds."""

    def __init__(
        self, max_bytes: int | None, field_names: Container[str], stack: ExitStack, *, files: bool = True
    ) -> None:
        self.files: list[tuple[str, str, Keeper]] = []
        self.fields: dict[str, str] = {}
        self._max_bytes = max_bytes
        self._field_names = field_names
        self._stack = stack
        self._wants_files = files

    def collect(self, source: Source, boundary: str) -> None:
        part = _Skipped()
        for event in multipart_forms.events(source, boundary):
            if event is None:
                part.finish()
            elif isinstance(event, MultipartSegment):
                part = self._begin(event, source)
            else:
                part.take(event)

    def _begin(self, segment: MultipartSegment, source: Source) -> "_Skipped":
        field = content_disposition.decoded(segment.name)
        name = _file_name(segment)
        if name is None or field in self._field_names:
            return _Field(field, self.fields, only=field in self._field_names)
        if not self._wants_files:
            return _Skipped()
        if not name:
            return _Unnamed()
        keeper = source.keeper(self._stack)
        self.files.append((field, name, keeper))
        return _File(keeper, self._max_bytes)


def _file_name(segment: MultipartSegment) -> str | None:
    """Return the file name of a part, None if it has none.

    RFC 7578 forbids `filename*`, yet .NET and older `requests` send it; it wins, as in any Content-Disposition.
    """
    extended = content_disposition.extended(segment.header("Content-Disposition"))
    if extended is not None or segment.filename is None:
        return extended
    return content_disposition.decoded(segment.filename)


class _Skipped:
    """A part that is ignored; the base of the others."""

    def take(self, piece: Piece) -> None:
        """Take a piece of the part."""

    def finish(self) -> None:
        """Finish the part."""


class _Unnamed(_Skipped):
    """A file part without a name: a browser sends an empty one if no file was chosen."""

    def take(self, piece: Piece) -> None:
        if len(piece):
            raise Malformed("A file in the form has no name.")


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
    def __init__(self, name: str, fields: dict[str, str], *, only: bool) -> None:
        self._name = name
        self._fields = fields
        self._only = only  # may not be repeated with another value
        self._value = b""

    def take(self, piece: Piece) -> None:
        if len(self._value) + len(piece) > MAX_FIELD_BYTES:
            raise Malformed("A form field is too long.")
        self._value += bytes(piece)

    def finish(self) -> None:
        try:
            value = self._value.decode()
        except UnicodeDecodeError:
            raise Malformed("A form field is not UTF-8.") from None
        if self._fields.setdefault(self._name, value) != value and self._only:
            raise Malformed(f"The form has two values of {self._name}.")
