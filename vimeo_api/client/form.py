"""The body of an upload: a form with fields and one file, which is read while it is sent.

`requests` reads a whole file into memory to make a form of it. Source: RFC 7578.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from urllib3.fields import RequestField

from vimeo_api.client.errors import Unreadable

_CHUNK = 256 * 1024


class Form:
    """The body for one attempt. `requests` asks for its length and iterates over it."""

    def __init__(self, path: Path, fields: Mapping[str, str], progress: Callable[[int, int], None]) -> None:
        """Take the file's size now. `progress` gets the bytes that were sent and the size. Raises Unreadable."""
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise Unreadable(f"{path} cannot be read: {error.strerror}.") from error
        self._path = path
        self._size = os.fstat(self._file.fileno()).st_size
        self._progress = progress
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        parts = [_part(boundary, RequestField(name, value), value.encode()) for name, value in fields.items()]
        # A name that is not UTF-8 is sent byte by byte as it is.
        head = _part(boundary, RequestField("file", b"", filename=path.name), b"")
        self._head = b"".join(parts) + head
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        sent = 0
        self._progress(sent, self._size)
        while chunk := self._read(self._size - sent):
            yield chunk
            sent += len(chunk)
            self._progress(sent, self._size)
        if sent < self._size or self._read(1):
            raise Unreadable(f"{self._path} changed while it was being sent.")
        yield self._tail

    def _read(self, most: int) -> bytes:
        try:
            return self._file.read(min(most, _CHUNK))
        except OSError as error:
            raise Unreadable(f"{self._path} cannot be read: {error.strerror}.") from error


def _part(boundary: str, field: RequestField, content: bytes) -> bytes:
    """Return a part; the file's has no content yet and no line break at its end."""
    is_file = field._filename is not None  # noqa: SLF001
    field.make_multipart(content_type="application/octet-stream" if is_file else None)
    headers = field.render_headers().encode("utf-8", "surrogateescape")
    return f"--{boundary}\r\n".encode() + headers + content + (b"" if is_file else b"\r\n")
