"""The body of an upload: a form with fields and files, which are read while they are sent.

`requests` reads whole files into memory to make a form of it. Source: RFC 7578.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from urllib3.fields import RequestField

from vimeo_api.client.errors import Unreadable

_CHUNK = 256 * 1024


class Form:
    """The body for one attempt. `requests` asks for its length and iterates over it."""

    def __init__(self, paths: Sequence[Path], fields: Mapping[str, str], progress: Callable[[int, int], None]) -> None:
        """Take the files' sizes now. `progress` gets their bytes that were sent, and all of them. Raises Unreadable."""
        with ExitStack() as stack:
            self._files = [_File(path, stack) for path in paths]
            self._stack = stack.pop_all()
        self._size = sum(file.size for file in self._files)
        self._progress = progress
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        parts = [_part(boundary, RequestField(name, value), value.encode()) for name, value in fields.items()]
        # A name that is not UTF-8 is sent byte by byte as it is.
        heads = [_part(boundary, RequestField("file", b"", filename=path.name), b"") for path in paths]
        self._heads = [b"".join(parts) + heads[0], *(b"\r\n" + head for head in heads[1:])]
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    def __len__(self) -> int:
        return sum(map(len, self._heads)) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        sent = 0
        for head, file in zip(self._heads, self._files, strict=True):
            yield head
            self._progress(sent, self._size)
            for chunk in file.chunks():
                yield chunk
                sent += len(chunk)
                self._progress(sent, self._size)
        yield self._tail


class _File:
    def __init__(self, path: Path, stack: ExitStack) -> None:
        try:
            self._file: BinaryIO = stack.enter_context(path.open("rb"))
        except OSError as error:
            raise Unreadable(f"{path} cannot be read: {error.strerror}.") from error
        self._path = path
        self.size = os.fstat(self._file.fileno()).st_size

    def chunks(self) -> Iterator[bytes]:
        left = self.size
        while chunk := self._read(left):
            yield chunk
            left -= len(chunk)
        if left or self._read(1):
            raise Unreadable(f"{self._path} changed while it was being sent.")

    def _read(self, most: int) -> bytes:
        try:
            return self._file.read(min(most, _CHUNK))
        except OSError as error:
            raise Unreadable(f"{self._path} cannot be read: {error.strerror}.") from error


def _part(boundary: str, field: RequestField, content: bytes) -> bytes:
    """Return a part; a file's has no content yet and no line break at its end."""
    is_file = field._filename is not None  # noqa: SLF001
    field.make_multipart(content_type="application/octet-stream" if is_file else None)
    headers = field.render_headers().encode("utf-8", "surrogateescape")
    return f"--{boundary}\r\n".encode() + headers + content + (b"" if is_file else b"\r\n")
