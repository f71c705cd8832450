"""Evaluate conditional and range requests: RFC 9110, sections 13.2.2 (the order), 13.1 and 14, in one function.

`by_python` uses it for every file, `delivery` where nginx would decide otherwise. Ranges are parsed as nginx parses
them: one range is sent, several get the whole file, an invalid one is refused.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.datastructures import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Span = tuple[int, int]  # the first byte, and the one after the last

HEADERS = frozenset({"If-Match", "If-Unmodified-Since", "If-None-Match", "If-Modified-Since", "If-Range", "Range"})
_IN_ENVIRON = frozenset("HTTP_" + name.upper().replace("-", "_") for name in HEADERS)

_TAG = re.compile(r'(W/)?("[^"]*")')
_RANGE = re.compile(r" *(?:([0-9]{1,19}) *- *([0-9]{0,19})|-([0-9]{1,19})) *", re.ASCII)
_MAX_POSITION = 2**63 - 1
# IMF-fixdate and the two obsolete formats: RFC 9110, 5.6.7.
_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


@dataclass(frozen=True, slots=True)
class Version:
    """The stored bytes. They never change, so ETag and time are strong validators."""

    modified: int  # seconds since 1970
    size: int  # bytes

    @property
    def etag(self) -> str:
        """The ETag that nginx makes, so that both profiles send the same."""
        return f'"{self.modified:x}-{self.size:x}"'


def judge(headers: Headers, version: Version, *, with_ranges: bool) -> tuple[HTTPStatus, Span | None]:
    """Return 200, 206 with the bytes to send, 304, 412 or 416; ranges are ignored except for GET."""
    if (tags := headers.get("If-Match")) is not None:
        if not _matches(tags, version, weakly=False):
            return HTTPStatus.PRECONDITION_FAILED, None
    elif (moment := _moment(headers.get("If-Unmodified-Since"))) is not None and version.modified > moment:
        return HTTPStatus.PRECONDITION_FAILED, None
    if (tags := headers.get("If-None-Match")) is not None:
        if _matches(tags, version, weakly=True):
            return HTTPStatus.NOT_MODIFIED, None
    elif (moment := _moment(headers.get("If-Modified-Since"))) is not None and version.modified <= moment:
        return HTTPStatus.NOT_MODIFIED, None
    asked = headers.get("Range", "")
    if with_ranges and _is_same(headers.get("If-Range"), version):
        return _ranged(asked, version.size)
    return HTTPStatus.OK, None


def any_in(environ: "WSGIEnvironment") -> bool:
    """Return whether a request has a condition or asks for a range."""
    return not _IN_ENVIRON.isdisjoint(environ)


def nginx_differs(environ: "WSGIEnvironment") -> bool:
    """Return whether nginx might decide these conditions otherwise; `$vimeo_api_odd` in its site checks the same.

    nginx applies both conditions of a pair, and treats an If-Unmodified-Since with an invalid date as failed.
    """
    return nginx_may_refuse(environ) or environ.keys() >= {"HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE"}


def nginx_may_refuse(environ: "WSGIEnvironment") -> bool:
    """Return whether nginx might say 412 where it should send bytes."""
    return "HTTP_IF_UNMODIFIED_SINCE" in environ


def _matches(tags: str, version: Version, *, weakly: bool) -> bool:
    if tags.strip() == "*":
        return True
    return any(tag == version.etag and (weakly or not weak) for weak, tag in _TAG.findall(tags))


def _is_same(validator: str | None, version: Version) -> bool:
    """Return whether If-Range, if present, names these bytes, by the ETag or the exact second."""
    return validator is None or validator == version.etag or _moment(validator) == version.modified


def _moment(date: str | None) -> float | None:
    """Return an HTTP-date in seconds since 1970; None for an invalid date, which is ignored."""
    for form in _DATES:
        try:
            return datetime.strptime((date or "").strip(), form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return None


def _ranged(asked: str, size: int) -> tuple[HTTPStatus, Span | None]:
    unit, _, ranges = asked.partition("=")
    if unit.lower() != "bytes" or not ranges:
        return HTTPStatus.OK, None
    spans = []
    for one in ranges.split(","):
        span = _span(one, size)
        if span is None:
            return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, None
        if span[0] < span[1]:
            spans.append(span)
        if len(spans) > 1 or (size == 0 and span[0] == 0):
            return HTTPStatus.OK, None
    if not spans:
        return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, None
    return HTTPStatus.PARTIAL_CONTENT, spans[0]


def _span(text: str, size: int) -> Span | None:
    """Return the span that a range asks for, empty if it begins after the end; None for an invalid range."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first, last, suffix = (int(number) if number else None for number in match.groups())
    if any(number is not None and number > _MAX_POSITION for number in (first, last, suffix)):
        return None
    if first is None:
        return max(0, size - (suffix or 0)), size
    return first, size if last is None else min(size, last + 1)
