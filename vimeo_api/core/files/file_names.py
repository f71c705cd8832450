"""File names: the one form in which they are stored, found and searched.

It is the same under every version of Python, whose Unicode tables differ: characters that they do not all know stay as
they are. Services make it of what clients send, `catalog` keeps its folded form, and the surface `named` looks files
up by it. Sources: Unicode Standard Annex 15 (NFC, and its stability), RFC 8264 section 9 (what to keep out).
"""

import re
import unicodedata
from itertools import groupby

MAX_BYTES = 255  # NAME_MAX of ext4, XFS and NTFS: a client can save what we hand out

_NONCHARACTERS = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
# Controls, directions, surrogates and noncharacters, and what nobody sees and no script needs.
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff"
    f"\ufdd0-\ufdef\ufeff\ufff9-\ufffb\U000e0001{_NONCHARACTERS}]"
)
# Zero-width joiners and tags belong to letters and emoji: to Persian, families and flags. Elsewhere nobody sees them.
_JOINERS = "\u200c\u200d\U000e0020-\U000e007f"
_STRAY = re.compile(f"(?<=[\x00-\x7f])[{_JOINERS}]+")
_EDGES = re.compile(rf"\A[\s{_JOINERS}]+|\s+\Z")


def safe(name: str) -> str:
    """Return the last path segment of a client's file name, in NFC, without characters that do harm.

    At most 255 bytes of UTF-8; what is cut, is cut before the extension. An empty name becomes `file`. The safe form of
    a safe name is that name.
    """
    segment = name.replace("\\", "/").rsplit("/", 1)[-1]
    cleaned = _EDGES.sub("", _STRAY.sub("", _composed(_HARMFUL.sub("", segment))))
    kept = _composed(cleaned)  # a stray joiner may have kept a letter from its accent
    return "file" if kept in {"", ".", ".."} else _shortened(kept)


def folded(text: str) -> str:
    """Return a name, or a part of one, as it is searched: without the difference between upper and lower case."""
    return _composed(_composed(_HARMFUL.sub("", text)).casefold())


def _composed(text: str) -> str:
    """Return a text in NFC, but for characters newer than Unicode 3.2, which Python keeps beside its own version."""
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
