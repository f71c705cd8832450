"""The headers of "Resumable Uploads for HTTP", draft-ietf-httpbis-resumable-upload, interop versions 5 to 8.

They differ in little: in 5, PATCH has no media type of its own, and up to 6 the limit `max-age` is called `expires`.

Structured fields (RFC 9651) are read by hand: of items only their value counts, and a field of another type is ignored,
as the draft demands. There is no 104: nginx passes no interim responses on.
"""

import re

from flask import request
from werkzeug.exceptions import UnsupportedMediaType

from vimeo_api.core import content_disposition
from vimeo_api.core.errors import Malformed
from vimeo_api.extensions import settings

MEDIA_TYPE = "application/partial-upload"
VERSION_HEADER = "Upload-Draft-Interop-Version"
WITHOUT_MEDIA_TYPE = 5  # the interop version in which PATCH had none yet
WITH_MAX_AGE = 7  # the first one in which this limit has its name
PROBLEMS = "https://iana.org/assignments/http-problem-types#"
_BOOLEAN = re.compile(r" *\?([01]) *(?:;.*)?")
_INTEGER = re.compile(r" *([0-9]{1,15}) *(?:;.*)?")


def is_meant() -> bool:
    """Return whether the current request speaks this protocol."""
    return "Upload-Complete" in request.headers or VERSION_HEADER in request.headers or request.mimetype == MEDIA_TYPE


def version() -> int:
    """Return the interop version of the current request; a client that does not say it speaks the newest."""
    said = number(VERSION_HEADER)
    return max(settings.draft_versions) if said is None else said


def is_spoken() -> bool:
    """Return whether the version of the current request is spoken."""
    return version() in settings.draft_versions


def check_version() -> None:
    """Raise Malformed for a version that is not spoken: a client of another one could take a part for the whole."""
    if not is_spoken():
        spoken = ", ".join(str(one) for one in sorted(settings.draft_versions))
        raise Malformed(f"{VERSION_HEADER}: this service speaks {spoken}.")


def spoken() -> str:
    """Return the interop version of a response: that of the request, or the newest if that is not spoken."""
    return str(version() if is_spoken() else max(settings.draft_versions))


def check_media_type() -> None:
    """Raise UnsupportedMediaType unless the body is what PATCH appends."""
    if request.mimetype != MEDIA_TYPE and version() != WITHOUT_MEDIA_TYPE:
        raise UnsupportedMediaType(f"The Content-Type must be {MEDIA_TYPE}.")


def completes() -> bool | None:
    """Return `Upload-Complete`, None without one."""
    match = _BOOLEAN.fullmatch(request.headers.get("Upload-Complete", ""))
    return match[1] == "1" if match else None


def number(name: str) -> int | None:
    """Return a header that is an integer, None without one."""
    match = _INTEGER.fullmatch(request.headers.get(name, ""))
    return int(match[1]) if match else None


def file_name() -> str:
    """Return the file name of `Content-Disposition`, "" without one."""
    return content_disposition.suggested(request.headers.get("Content-Disposition", "")) or ""


def boolean(value: bool) -> str:  # noqa: FBT001 -- it is the value itself
    """Return a boolean as a structured field."""
    return "?1" if value else "?0"


def limits(max_size: int | None, max_age: int | None = None) -> str:
    """Return `Upload-Limit`."""
    known = {"max-size": max_size, "max-age" if version() >= WITH_MAX_AGE else "expires": max_age}
    return ", ".join(f"{name}={value}" for name, value in known.items() if value is not None) or "min-size=0"
