"""The only door by which bytes of files leave, with the same headers whoever sends them.

In production nginx sends them: our answer names an internal location in X-Accel-Redirect. In the embedded profile
Python sends them and reports the end itself. Sources: RFC 6266 (Content-Disposition), RFC 9110 (ranges,
conditionals), nginx X-Accel.
"""

import base64
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from flask import Response

from vimeo_api.core.clock import now
from vimeo_api.core.deliveries import confirmations
from vimeo_api.core.deliveries.confirmations import Sent, Ticket
from vimeo_api.core.errors import NotThere
from vimeo_api.core.files import iana_types
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.storage.blobs import PENDING, relative
from vimeo_api.extensions import blobs, mount_check, settings
from vimeo_api.web.sending import by_python, nginx_cache

RESUME_HEADER = "X-Download-Grant"
NGINX_BUFFER_BYTES = 32 * 1024  # a smaller file and its headers leave in one write

_ACTIVE = ("text/html", "text/xml")  # of the types that `media_types` knows, those that may hold scripts


def content_disposition(name: str) -> str:
    """Return the RFC 6266 header that makes clients save the file under its name.

    Clients that do not know `filename*` get the name in ASCII, with `_` for what has no equivalent.
    """
    plain = unicodedata.normalize("NFKD", name)
    ascii_name = "".join(
        c if " " <= c <= "~" and c not in '"\\%' else "_" for c in plain if not unicodedata.combining(c)
    )
    header = f'attachment; filename="{ascii_name}"'
    return header if ascii_name == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def repr_digest(digest: str | None) -> str | None:
    """Return a stored digest as RFC 9530 has it, or None where that has no name for the algorithm."""
    algorithm, _, value = (digest or "").partition(":")
    name = {"sha256": "sha-256", "sha512": "sha-512"}.get(algorithm)
    return f"{name}=:{base64.b64encode(bytes.fromhex(value)).decode()}:" if name else None


def send(file: Entry, ticket: Ticket | None, *, attachment: bool = True, one_time: bool = False) -> Response:
    """Answer the current request with the bytes of a file that a service has decided to send.

    As an attachment it has a name to be saved under; else browsers may show it, unless it could hold scripts. What is
    one-time must not be kept by anyone on the way. Raises NotThere for bytes that are missing, Unavailable while the
    store is away.
    """
    kind = file.content_type or iana_types.media_type(file.name)
    headers = {
        "Content-Type": kind,
        # Bytes of strangers: no sniffing, and no scripts should a browser show them all the same.
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store" if one_time else "no-cache",
    }
    if attachment:
        headers["Content-Disposition"] = content_disposition(file.name)
    elif kind.startswith(_ACTIVE):
        headers["Content-Disposition"] = "attachment"
    if digest := repr_digest(file.digest):
        headers["Repr-Digest"] = digest
    if ticket:
        headers[RESUME_HEADER] = ticket.lease_token
    if settings.behind_nginx:
        return Response(headers=headers | _for_nginx(file, ticket, one_time=one_time))
    with _reading(ticket):
        content = blobs.opened(file.surface, file.blob, pending=file.pending)
    response = by_python.send(content, ticket)
    response.headers.update(headers)
    return response


def _for_nginx(file: Entry, ticket: Ticket | None, *, one_time: bool) -> dict[str, str]:
    """Return the headers that tell nginx what to send."""
    # Where nginx would find nothing it asks anew, but for one-time files; so of those we look by ourselves.
    if ticket or nginx_cache.is_fresh():
        with _reading(ticket):
            blobs.path(file.surface, file.blob, pending=file.pending).stat()
    # `/_once/` keeps the journal, `/_any/` does not; nginx percent-decodes the path.
    times = "_once" if ticket else "_any"
    place = PENDING if file.pending else "store"
    if times == "_any" and place == "store" and file.size <= NGINX_BUFFER_BYTES:
        place = "small"
    path = quote(relative(file.surface, file.blob))
    headers = {"X-Accel-Redirect": f"/{times}/{place}/{path}"}
    if ticket:
        headers["X-Ticket"] = str(ticket)
    if not one_time:
        headers[nginx_cache.EXPIRES_HEADER] = str(_lifetime(file))
    return headers


def _lifetime(file: Entry) -> int:
    """Return for how many seconds nginx may keep the answer."""
    seconds = nginx_cache.ANSWER_SECONDS if file.digest else nginx_cache.UNFINISHED_SECONDS
    if file.expires_at is not None:
        seconds = min(seconds, int((file.expires_at - now()).total_seconds()))
    return max(seconds, 0)


@contextmanager
def _reading(ticket: Ticket | None) -> Iterator[None]:
    """Give back what was leased for bytes that cannot be read.

    Raises NotThere for those that are missing, Unavailable if the whole store is.
    """
    try:
        yield
    except OSError as error:
        if ticket:
            confirmations.handle(Sent(ticket, None, complete=False))
        if not isinstance(error, FileNotFoundError):
            raise
        mount_check.check()
        raise NotThere from None
