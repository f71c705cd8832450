"""Several files as one zip: stored and not compressed, so that it costs little and has a size known beforehand.

The format is that of the standard library, which writes zip64 where sizes need it and marks names as UTF-8. The names
are those of the files made safe for every system that may unpack them, folders included. Views call `as_one`.
Sources: APPNOTE.TXT 6.3.10 (zip), "Naming Files, Paths, and Namespaces" (Windows)
"""

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import accumulate, count
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from vimeo_api.core.clock import now
from vimeo_api.core.errors import TooLarge
from vimeo_api.core.files import file_names
from vimeo_api.core.policy import Policy
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.core.storage.folders import raising_storage_full
from vimeo_api.extensions import blobs, reservations

CHUNK = 1024**2  # bytes read at once
# More than the headers of an entry take beside its name, which they have twice: local, central and zip64 fields.
ENTRY_OVERHEAD = 200
END_OVERHEAD = 200
ARCHIVE = "files.zip"  # the name of several files in one
_MODE = 0o644 << 16  # of unpacked files
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_DEVICES = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?=\s*(?:\.|$))", re.IGNORECASE)


@contextmanager
def as_one(policy: Policy, files: Sequence[tuple[str, Staging]]) -> Iterator[tuple[str, Staging]]:
    """Yield the name and bytes of one file: the only one as it is, several as a zip, which is discarded at the end.

    Raises TooLarge and StorageFull.
    """
    if len(files) == 1:
        yield files[0]
        return
    if policy.max_bytes is not None and sum(staging.size for _, staging in files) > policy.max_bytes:
        raise TooLarge
    with reservations.reserved(largest(files)), blobs.stage() as staging:
        write(staging, files, now())
        yield ARCHIVE, staging


def write(staging: Staging, files: Sequence[tuple[str, Staging]], moment: datetime) -> None:
    """Write a zip of files, each with the name that its client gave it, into an empty staging. Raises StorageFull."""
    with (
        raising_storage_full(),
        open(staging.descriptor, "r+b", closefd=False) as target,
        ZipFile(target, "w", ZIP_STORED) as archive,
    ):
        for name, (_, source) in zip(entry_names(name for name, _ in files), files, strict=True):
            entry = ZipInfo(name, moment.timetuple()[:6])
            entry.external_attr = _MODE
            entry.file_size = source.size  # decides about zip64
            with archive.open(entry, "w") as part, open(source.descriptor, "rb", closefd=False) as content:
                content.seek(0)
                shutil.copyfileobj(content, part, CHUNK)


def largest(files: Sequence[tuple[str, Staging]]) -> int:
    """Return a size in bytes that the zip of files does not exceed."""
    return END_OVERHEAD + sum(
        source.size + ENTRY_OVERHEAD + 2 * len(name.encode(errors="replace")) for name, source in files
    )


def entry_names(names: Iterable[str]) -> Iterator[str]:
    """Yield the names in the zip, in order: relative paths, safe on every system, and no two the same in any case."""
    paths = [_safe_path(name) for name in names]
    folders = {folder.casefold() for path in paths for folder in accumulate(path[:-1], "{}/{}".format)}
    taken: set[str] = set()
    for path in paths:
        name = next(one for one in _variants("/".join(path)) if one.casefold() not in taken | folders)
        taken.add(name.casefold())
        yield name


def _safe_path(name: str) -> list[str]:
    segments = [one for one in name.replace("\\", "/").split("/") if one.strip() not in {"", ".", ".."}]
    return [_safe_segment(one) for one in segments] or ["file"]


def _safe_segment(segment: str) -> str:
    kept = _trimmed(_FORBIDDEN.sub("_", segment))
    return _trimmed(f"_{kept}") if _DEVICES.match(kept) else kept


def _trimmed(segment: str) -> str:
    return file_names.safe(segment).rstrip(". ") or "_"


def _variants(name: str) -> Iterator[str]:
    """Yield a name, then the same with a number before its extension."""
    yield name
    folder, slash, last = name.rpartition("/")
    stem, dot, extension = last.rpartition(".")
    if not stem or len(extension.encode()) > file_names.MAX_BYTES // 2:
        stem, dot, extension = last, "", ""
    for number in count(1):
        end = f" ({number}){dot}{extension}"
        room = file_names.MAX_BYTES - len(end.encode())  # a longer name could not be unpacked
        yield f"{folder}{slash}{stem.encode()[:room].decode(errors='ignore')}{end}"
