"""Names that nobody can guess, and file names that do no harm."""

import secrets
import unicodedata
import uuid

MAX_NAME_BYTES = 255  # NAME_MAX of ext4, XFS and NTFS: a client can save what we hand out


def random_hex() -> str:
    """Return 128 random bits as 32 lower-case hexadecimal digits."""
    return secrets.token_hex(16)


def any_hex(_name: str) -> str:
    """Return a key for a file of any name: 128 random bits in hexadecimal."""
    return random_hex()


def any_uuid(_name: str) -> str:
    """Return a key for a file of any name: a random UUID (RFC 9562, version 4)."""
    return str(uuid.uuid4())


def any_number(_name: str) -> str:
    """Return a key for a file of any name: a random unsigned 64-bit number in decimal."""
    return str(secrets.randbits(64))


def own_name(name: str) -> str:
    """Return the name of a file as its key."""
    return name


def safe_name(name: str) -> str:
    """Return the last path segment of a client's file name, in NFC, without control or direction characters.

    At most 255 bytes of UTF-8; what is cut, is cut before the extension. An empty name becomes `file`.
    """
    segment = name.replace("\\", "/").rsplit("/", 1)[-1]
    # Category C: control, format (bidi overrides among them), surrogate, private use, unassigned.
    kept = "".join(c for c in unicodedata.normalize("NFC", segment) if unicodedata.category(c)[0] != "C").strip()
    if kept in {"", ".", ".."}:
        return "file"
    return _shortened(kept)


def _shortened(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    tail = f"{dot}{extension}".encode() if stem else b""
    if len(tail) > MAX_NAME_BYTES // 2:
        stem, tail = name, b""
    head = (stem if tail else name).encode()
    return head[: MAX_NAME_BYTES - len(tail)].decode(errors="ignore") + tail.decode()
