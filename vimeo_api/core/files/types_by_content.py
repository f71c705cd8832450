"""Detect the media type of a stream from its first bytes, for the surface `streams`.

It agrees with Go's net/http, oddities included: what Go omits from the standard (MP3 without ID3, parsing WebM) is
omitted here, and what Go adds (WebAssembly) is added here.
"""

import re
from collections.abc import Callable

HEAD_BYTES = 512  # how much of a stream is examined
TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"

_TAGS = rb"!DOCTYPE HTML|HTML|HEAD|SCRIPT|IFRAME|H1|DIV|FONT|TABLE|A|STYLE|TITLE|B|BODY|BR|P|!--"
_Matcher = Callable[[bytes], object]  # true if it matches


def detect(head: bytes) -> str:
    """Return the media type of a stream that starts with these bytes; bytes after the first 512 are ignored.

    Never fails: without a match it is `application/octet-stream`; an empty stream is text.
    Source: WHATWG MIME Sniffing, section 7 (and its patterns, section 6), as in Go's net/http DetectContentType.
    """
    seen = head[:HEAD_BYTES]
    return next((media_type for matches, media_type in _SIGNATURES if matches(seen)), BINARY)


def _exact(prefix: bytes) -> _Matcher:
    return re.compile(re.escape(prefix)).match


def _masked(pattern: bytes) -> _Matcher:
    """Match a regular expression at the start; each dot is exactly one byte of any value."""
    return re.compile(pattern, re.DOTALL).match


def _spaced(pattern: bytes) -> _Matcher:
    return _masked(rb"[\t\n\f\r ]*" + pattern)


def _mp4(head: bytes) -> bool:
    """Look for an `mp4…` brand in the `ftyp` box (section 6.2.1), which must be within the head."""
    size = int.from_bytes(head[:4], "big")
    if head[4:8] != b"ftyp" or size % 4 or size > len(head):
        return False
    brands = [head[at : at + 4] for at in range(8, size, 4)]
    del brands[1:2]  # the minor version, between the major and the compatible brands
    return any(brand.startswith(b"mp4") for brand in brands)


# The first match wins, so the order matters.
_SIGNATURES: tuple[tuple[_Matcher, str], ...] = (
    (_spaced(rb"<(?i:%b)[ >]" % _TAGS), "text/html; charset=utf-8"),
    (_spaced(rb"<\?xml"), "text/xml; charset=utf-8"),
    (_exact(b"%PDF-"), "application/pdf"),
    (_exact(b"%!PS-Adobe-"), "application/postscript"),
    # Byte order marks.
    (_masked(rb"\xfe\xff.."), "text/plain; charset=utf-16be"),
    (_masked(rb"\xff\xfe.."), "text/plain; charset=utf-16le"),
    (_masked(rb"\xef\xbb\xbf."), TEXT),
    (_exact(b"\x00\x00\x01\x00"), "image/x-icon"),
    (_exact(b"\x00\x00\x02\x00"), "image/x-icon"),
    (_exact(b"BM"), "image/bmp"),
    (_exact(b"GIF87a"), "image/gif"),
    (_exact(b"GIF89a"), "image/gif"),
    (_masked(rb"RIFF.{4}WEBPVP"), "image/webp"),
    (_exact(b"\x89PNG\r\n\x1a\n"), "image/png"),
    (_exact(b"\xff\xd8\xff"), "image/jpeg"),
    (_masked(rb"FORM.{4}AIFF"), "audio/aiff"),
    (_exact(b"ID3"), "audio/mpeg"),
    (_exact(b"OggS\x00"), "application/ogg"),
    (_exact(b"MThd\x00\x00\x00\x06"), "audio/midi"),
    (_masked(rb"RIFF.{4}AVI "), "video/avi"),
    (_masked(rb"RIFF.{4}WAVE"), "audio/wave"),
    (_mp4, "video/mp4"),
    (_exact(b"\x1a\x45\xdf\xa3"), "video/webm"),
    # Matches anything with `LP` there, even prose and archives, as the standard says.
    (_masked(rb".{34}LP"), "application/vnd.ms-fontobject"),
    (_exact(b"\x00\x01\x00\x00"), "font/ttf"),
    (_exact(b"OTTO"), "font/otf"),
    (_exact(b"ttcf"), "font/collection"),
    (_exact(b"wOFF"), "font/woff"),
    (_exact(b"wOF2"), "font/woff2"),
    (_exact(b"\x1f\x8b\x08"), "application/x-gzip"),
    (_exact(b"PK\x03\x04"), "application/zip"),
    # RAR as RARLAB defines it; the standard has a space instead of the `!`.
    (_exact(b"Rar!\x1a\x07\x00"), "application/x-rar-compressed"),
    (_exact(b"Rar!\x1a\x07\x01\x00"), "application/x-rar-compressed"),
    (_exact(b"\x00asm"), "application/wasm"),
    # Anything without bytes that never occur in text.
    (_masked(rb"[^\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]*\Z"), TEXT),
)
