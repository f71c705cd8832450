"""Parse file names in Content-Disposition, as old and new programs write them.

`core.fetching.headers` parses those of an origin's response, `web.receiving.receive` those of a form's parts. Headers
are text as HTTP libraries return it: decoded as Latin-1, so that every byte is one character.
Sources: RFC 6266 section 4.3, RFC 8187 (`filename*`), RFC 2047 (encoded words), RFC 7578 section 4.2.
"""

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

_PARAMETER = re.compile(r";\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*(\"(?:[^\"\\]|\\.)*\"|[^;]*)", re.ASCII | re.DOTALL)
_EXTENDED = re.compile(r"(utf-8|iso-8859-1)'[^']*'(.*)", re.ASCII | re.DOTALL | re.IGNORECASE)
_ENCODED_WORD = re.compile(r"=\?([\w-]+)(?:\*[\w-]*)?\?([bq])\?([^?]*)\?=", re.ASCII | re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"(?<=\?=)\s+(?==\?)")


def suggested(header: str) -> str | None:
    """Return the name that a response suggests; `filename*` wins over `filename`."""
    return extended(header) or decoded(_unquoted(_parameters(header).get("filename", ""))) or None


def extended(header: str) -> str | None:
    """Return the name in `filename*`, or None if it is missing or cannot be decoded."""
    match = _EXTENDED.fullmatch(_parameters(header).get("filename*", "").strip('"'))
    if match is None:
        return None
    try:
        return unquote_to_bytes(match[2].encode("latin-1")).decode(match[1]) or None
    except UnicodeError:
        return None


def decoded(text: str) -> str:
    """Decode the bytes of a header as UTF-8, else as Windows-1252; then decode encoded words.

    Old clients do not say which character set they use. Browsers guess Windows-1252; for other sets the result is
    nonsense, but always the same.
    """
    try:
        raw = text.encode("latin-1")
    except UnicodeEncodeError:
        return text  # already decoded
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    return _ENCODED_WORD.sub(_decoded_word, _BETWEEN_WORDS.sub("", text))


def _parameters(header: str) -> dict[str, str]:
    """Return the parameters by lower-case name, still quoted; the first one of a name counts."""
    found = _PARAMETER.findall(f";{header}")  # some servers leave out the type before the first semicolon
    return {name.lower(): value.strip(" \t") for name, value in reversed(found)}


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    # In practice only these two are escaped; a lone backslash is part of a Windows path.
    return re.sub(r"\\([\"\\])", r"\1", value[1:-1])


def _decoded_word(word: re.Match[str]) -> str:
    """Decode an encoded word; return it unchanged if that fails (RFC 2047, 6.3)."""
    charset, encoding, text = word.groups()
    try:
        if encoding in "bB":
            raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        else:
            raw = binascii.a2b_qp(text.encode(), header=True)
        return raw.decode(charset)
    except (LookupError, ValueError):  # binascii.Error and UnicodeError are ValueErrors
        return word[0]
