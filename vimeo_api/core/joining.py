"""Joining: the bytes of several blobs, one after the other, into one staging file, written by several threads.

Source: copy_file_range(2), which copies inside the kernel, posix_fallocate(3), which fails early on a full disk.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from vimeo_api.core.storage import Staging, full_disk_is_said

PIECE = 8 * 1024**2  # bytes; large enough to cost no time in Python, small enough to spread over the threads


@dataclass(frozen=True, slots=True)
class _Piece:
    source: Path
    start: int  # in the source
    length: int
    target: int  # where it goes


def join(staging: Staging, sources: Sequence[tuple[Path, int]], *, threads: int) -> None:
    """Write the sources, each a path and its size in bytes, into the empty staging file in the given order.

    Raises StorageFull, FileNotFoundError for a source that is not there, and OSError for one that is too short.
    """
    total = sum(size for _, size in sources)
    with full_disk_is_said():
        if total:
            os.posix_fallocate(staging.descriptor, 0, total)
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(_copy, piece, staging.descriptor) for piece in _pieces(sources)]:
                done.result()


def _pieces(sources: Sequence[tuple[Path, int]]) -> list[_Piece]:
    pieces, target = [], 0
    for source, size in sources:
        for start in range(0, size, PIECE):
            length = min(PIECE, size - start)
            pieces.append(_Piece(source, start, length, target))
            target += length
    return pieces


def _copy(piece: _Piece, descriptor: int) -> None:
    source = os.open(piece.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        done = 0
        while done < piece.length:
            copied = os.copy_file_range(
                source, descriptor, piece.length - done, piece.start + done, piece.target + done
            )
            if copied == 0:
                raise OSError(f"{piece.source.name} ends early")
            done += copied
    finally:
        os.close(source)
