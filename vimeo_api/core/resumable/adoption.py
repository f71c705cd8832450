"""What nginx received of requests that broke off, taken over from its log.

nginx keeps the file of a body even if the client hangs up, stalls, or the service is away, and names it in its log of
resumable uploads (`client_body_in_file_only on`), with the request that sent it. If that request still has its claim
(`rows`), its bytes are appended; else the file is removed. A line may be read twice, by two processes or after a crash.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vimeo_api.core.database import counters
from vimeo_api.core.database.counters import Counted
from vimeo_api.core.deliveries import journal
from vimeo_api.core.errors import BytesLost, StorageFull, Unavailable
from vimeo_api.core.resumable import expiry, parts, rows
from vimeo_api.core.resumable.rows import Upload
from vimeo_api.extensions import blobs, settings

_log = logging.getLogger(__name__)
_TICKET = re.compile(r"upload:(?P<request>[0-9a-f]{32})")
_BODY_NAME = re.compile(r"[0-9]{10,20}")  # as nginx names temporary files
CLOCK_SECONDS = 1.0  # by which the time of a line and that of a file may differ


def catch_up() -> None:
    """Handle what nginx has logged since; the embedded profile has no such log and nothing to do."""
    if settings.uploads_journal is not None:
        journal.read_new(settings.uploads_journal, handle)


def handle(lines: journal.Lines) -> None:
    """Take over, or remove, the bodies that these lines name."""
    for line in lines:
        body = _body(line)
        try:
            _end(line, body)
        except (BytesLost, StorageFull, Unavailable, OSError) as error:
            _log.warning("uploads: the bytes of a request are lost; its client will send them again: %s", error)
        if body is not None:
            body.unlink(missing_ok=True)


def _body(line: Mapping[str, Any]) -> Path | None:
    """Return the body file of a line, if it is still there and is that of this line.

    nginx may use a name again once it is free, so a file that has changed since the line was written is another one.
    """
    path = Path(str(line.get("body", "")))
    if path.parent != blobs.spool or not _BODY_NAME.fullmatch(path.name):
        return None
    try:
        return path if path.lstat().st_mtime <= float(line["time"]) + CLOCK_SECONDS else None
    except (FileNotFoundError, KeyError, ValueError):
        return None


def _end(line: Mapping[str, Any], body: Path | None) -> None:
    """End the claim of a request, if it still has one, with the bytes that came of its body."""
    ticket = _TICKET.fullmatch(str(line.get("ticket")))
    if ticket is None:
        return
    writer = ticket["request"]
    if (upload := rows.of_writer(writer)) is None:
        return
    with parts.locked(upload.key):
        if (upload := rows.of_writer(writer)) is None:
            return
        if body is None or line.get("digest"):  # with a checksum nothing is kept unless all of it has come
            rows.give_up(upload.key, writer)
        elif upload.length is None or upload.offset + body.stat().st_size <= upload.length:
            _append(upload, writer, body)
        elif line.get("draft"):  # section 4.4.2: the upload is invalid from now on
            expiry.remove(upload.key)
        else:
            rows.give_up(upload.key, writer)


def _append(upload: Upload, writer: str, body: Path) -> None:
    size = body.stat().st_size
    to = upload.offset + size
    try:
        parts.take(upload.key, upload.offset, body)
    except BytesLost:
        expiry.remove(upload.key)
        raise
    except (StorageFull, OSError):
        rows.give_up(upload.key, writer)
        raise
    if not rows.settle(upload.key, writer, start=upload.offset, to=to, length=upload.length):
        if rows.find(upload.key) is None:  # it was ended meanwhile
            parts.remove(upload.key)
        return
    counters.add({Counted.ADOPTED_BYTES: size, Counted.UPLOADS_INTERRUPTED: 1})
