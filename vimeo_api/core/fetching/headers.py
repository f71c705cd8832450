"""Parse the headers of an origin's response: length, range, version, name. `client` and `connections` act on them.

We trust no header that cannot be checked later; contradictions raise OriginFailed at once. We ask for `identity`, and
if the origin sends Content-Encoding all the same, we do as curl and wget: the bytes that it sends are the file.
Sources: RFC 9110 (8.4 codings, 8.6 length, 8.8 validators, 14.4 Content-Range), RFC 6266 and RFC 8187 (names).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urlsplit

from vimeo_api.core import content_disposition
from vimeo_api.core.fetching.ssrf import OriginFailed
from vimeo_api.core.files import file_names

Headers = Mapping[str, str]  # of any case

_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
# Some servers write `bytes=0-9/10` or `bytes: 0-9/10`.
_CONTENT_RANGE = re.compile(r"bytes[ =:] *([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.ASCII | re.IGNORECASE)
# The codings for which a file name has an ending, and the endings that say so already.
_ENDINGS = {
    "gzip": (".gz", ".tgz", ".taz", ".svgz"),
    "compress": (".Z", ".taz"),
    "br": (".br",),
    "zstd": (".zst", ".tzst"),
}
_CODING_NAMES = {"x-gzip": "gzip", "x-compress": "compress"}  # RFC 9110, 8.4.1: the same
_COMPRESSED_TYPES = re.compile(r"application/(x-)?(gzip|gtar-compressed|compressed-tar|compress|tgz|gtar|zstd)")
_NOT_CODINGS = {"", "identity", "none", "binary", "8bit", "7bit", "utf-8", "utf8", "iso-8859-1"}  # seen in practice


@dataclass(frozen=True, slots=True)
class Version:
    """Which bytes an origin offers: equal versions with a validator are the same bytes. Plain values, for storing."""

    size: int | None = None  # bytes
    etag: str | None = None
    modified: str | None = None  # Last-Modified, if it is a strong validator
    coding: str = ""  # Content-Encoding, which the bytes keep

    @property
    def validator(self) -> str | None:
        """The value for If-Range (RFC 9110, 13.1.5): a strong ETag, else a date that is a strong validator."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def continues(self, other: "Version") -> bool:
        """Return whether these must be the same bytes."""
        same = (self.size, self.validator, self.coding) == (other.size, other.validator, other.coding)
        return self.validator is not None and same and not self.contradicts(other)

    def contradicts(self, other: "Version") -> bool:
        """Return whether these must be different bytes."""
        pairs = ((self.size, other.size), (self.etag, other.etag), (self.modified, other.modified))
        return any(one is not None and two is not None and one != two for one, two in pairs)


@dataclass(frozen=True, slots=True)
class Piece:
    """The bytes [start, end) that a response contains, and the size of the whole file, if known."""

    start: int
    end: int
    size: int | None


def length(headers: Headers) -> int | None:
    """Return Content-Length in bytes, None if there is none. Raises OriginFailed for nonsense and contradictions."""
    value = headers.get("Content-Length")
    if value is None or "Transfer-Encoding" in headers:
        return None  # RFC 9112, 6.3: the transfer coding decides
    values = {part.strip() for part in value.split(",")}
    if len(values) != 1 or not _DIGITS.fullmatch(value := values.pop()):
        raise OriginFailed("The origin gives no valid length.")
    return int(value)


def says_piece(headers: Headers) -> bool:
    """Return whether a 206 says what part of the file it contains."""
    return _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip()) is not None


def piece(headers: Headers) -> Piece:
    """Return what part of the file a 206 contains. Raises OriginFailed if it does not say or contradicts itself."""
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if match is None:
        raise OriginFailed("The origin sends a part of the file without saying which.")
    found = Piece(int(match[1]), int(match[2]) + 1, None if match[3] == "*" else int(match[3]))
    announced = length(headers)
    honest = found.start < found.end and (found.size is None or found.end <= found.size)
    if not honest or announced not in (None, found.end - found.start):
        raise OriginFailed("The origin contradicts itself about the length of the file.")
    return found


def end(headers: Headers) -> int:
    """Return the offset in the file at which the body of a response ends: of a 206, or of one with a known length.

    Raises OriginFailed if a 206 does not say.
    """
    return piece(headers).end if "Content-Range" in headers else length(headers) or 0


def version(headers: Headers, size: int | None) -> Version:
    """Return the version of a file of this size."""
    return Version(size, headers.get("ETag") or None, _strong_date(headers), coding(headers))


def coding(headers: Headers) -> str:
    """Return the coding that the bytes of a response have, empty for none.

    Raises OriginFailed for one that no file name can tell: under its plain name, the file would be a wrong one.
    """
    value = headers.get("Content-Encoding", "").strip().lower()
    if value in _NOT_CODINGS:
        return ""
    value = _CODING_NAMES.get(value, value)
    if value not in _ENDINGS:
        raise OriginFailed("The origin compresses the file, although it was asked not to.")
    return value


def check_framing(headers: Headers) -> None:
    """Raise OriginFailed for a transfer coding that we cannot undo."""
    if headers.get("Transfer-Encoding", "chunked").strip().lower() != "chunked":
        raise OriginFailed("The origin uses a transfer coding that was not requested.")


def retry_after(headers: Headers) -> float:
    """Return Retry-After in seconds, 0 if it is missing or a date (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    return float(value) if _DIGITS.fullmatch(value) else 0.0


def location(headers: Headers) -> str:
    """Return where a redirect leads. Spaces are encoded, as browsers do; the rest is unchanged."""
    return _utf8(headers.get("Location", "")).strip().replace(" ", "%20")


def name(headers: Headers, url: str) -> str:
    """Return the file's name: from Content-Disposition, else the last segment of the URL's path, else `file`.

    A compressed file says so: `a.csv` with Content-Encoding `gzip` is `a.csv.gz`, unless its name or type says it.
    """
    suggested = content_disposition.suggested(headers.get("Content-Disposition", ""))
    found = file_names.safe(suggested or unquote(urlsplit(url).path.rsplit("/", 1)[-1]))
    endings = _ENDINGS.get(coding(headers), ())
    known = found.lower().endswith(tuple(map(str.lower, endings)))
    if not endings or known or _COMPRESSED_TYPES.match(headers.get("Content-Type", "").strip().lower()):
        return found
    return file_names.safe(found + endings[0])


def _utf8(value: str) -> str:
    """Return a header as UTF-8, if it is valid; servers send raw UTF-8, and the library reads Latin-1."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _strong_date(headers: Headers) -> str | None:
    """Return Last-Modified if the file cannot have changed twice in that second (RFC 9110, 8.8.2.2)."""
    modified, date = headers.get("Last-Modified"), headers.get("Date")
    try:
        if modified and date and parsedate_to_datetime(date) - parsedate_to_datetime(modified) >= timedelta(seconds=1):
            return modified
    except (ValueError, TypeError):
        pass
    return None
