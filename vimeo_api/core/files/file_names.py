"""File names: the one form in which they are stored, found and searched.

It is the same under every version of Python, although their Unicode tables differ: characters newer than Unicode 3.2
stay as they are. Services normalize the names that clients send, `catalog` stores a folded form for searching, and the
surface `named` finds files by name. Sources: Unicode Standard Annex 15 (NFC and its stability), RFC 8264 section 9
(what to exclude).
"""

import re
import unicodedata
from itertools import groupby

MAX_BYTES = 255  # NAME_MAX of ext4, XFS and NTFS: a client can save a file under this name

_NONCHARACTERS = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
# Control characters, line breaks, text directions, surrogates, noncharacters, and invisible ones that no script needs.
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    f"\ufdd0-\ufdef\ufeff\ufff9-\ufffb\U000e0001{_NONCHARACTERS}]"
)
# Zero-width joiners and tags belong to letters and emoji: Persian, families, flags. Elsewhere they are only invisible.
_JOINERS = "\u200c\u200d\U000e0020-\U000e007f"
_STRAY = re.compile(f"(?<=[\x00-\x7f])[{_JOINERS}]+")
_EDGES = re.compile(rf"\A[\s{_JOINERS}]+|\s+\Z")


def safe(name: str) -> str:
    """Return the last path segment of a client's file name, in NFC, without harmful characters.

    At most 255 bytes of UTF-8; a longer name is cut before its extension. An empty name becomes `file`. A safe name is
    returned unchanged.
    """
    segment = name.replace("\\", "/").rsplit("/", 1)[-1]
    cleaned = _EDGES.sub("", _STRAY.sub("", _composed(_HARMFUL.sub("", segment))))
    kept = _composed(cleaned)  # again: a stray joiner may have separated a letter from its accent
    return "file" if kept in {"", ".", ".."} else _shortened(kept)


def folded(text: str) -> str:
    """Return a name, or part of one, in the form used for searching: case-folded."""
    return _composed(_composed(_HARMFUL.sub("", text)).casefold())


def _composed(text: str) -> str:
    """Return a text in NFC, except for characters newer than Unicode 3.2, a table that every Python has."""
    if text.isascii():
        return text
    runs = ((settled, "".join(run)) for settled, run in groupby(text, _is_settled))
    return "".join(unicodedata.normalize("NFC", run) if settled else run for settled, run in runs)


def _is_settled(character: str) -> bool:
    return unicodedata.ucd_3_2_0.category(character) != "Cn"


def _shortened(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    tail = f"{dot}{extension}".encode() if stem else b""
    if len(tail) > MAX_BYTES // 2:
        stem, tail = name, b""
    head = (stem if tail else name).encode()
    return (head[: MAX_BYTES - len(tail)].decode(errors="ignore") + tail.decode()).rstrip()
