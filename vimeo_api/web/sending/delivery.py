"""Send files: every view sends through this module, with the same headers in both profiles.

In production nginx sends the bytes: our response names an internal location in X-Accel-Redirect. In the embedded
profile `by_python` sends them and reports how that ended. Sources: RFC 6266 (Content-Disposition), RFC 9110 (ranges,
conditionals), nginx X-Accel.
"""

import base64
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Response, request
from werkzeug.datastructures import Headers
from werkzeug.http import http_date

from vimeo_api import logs
from vimeo_api.core import hosts
from vimeo_api.core.deliveries import confirmations
from vimeo_api.core.deliveries.lines import Sent, Ticket
from vimeo_api.core.errors import NotFound, Unavailable
from vimeo_api.core.files import types_by_name
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.files.send_budget import Span
from vimeo_api.core.storage import object_store
from vimeo_api.core.storage.blobs import PENDING
from vimeo_api.core.storage.filesystem import NAME as FILESYSTEM
from vimeo_api.core.storage.folders import relative
from vimeo_api.extensions import blobs, settings
from vimeo_api.web.sending import by_python, conditions, nginx_cache
from vimeo_api.web.sending.conditions import Version

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

OBJECTS = "vimeo_api_objects"  # the `upstream` of the object store in nginx, by `manage.py nginx-objects`
RESUME_HEADER = "X-Download-Grant"
NGINX_BUFFER_BYTES = 32 * 1024  # a smaller file is sent together with its headers in one write

_ACTIVE = ("text/html", "text/xml")  # the types of `types_by_content` that may contain scripts


class _AccelRedirect(Response):
    """A response that names a file to nginx. Its headers are complete; werkzeug would copy them to add a length."""

    def get_wsgi_headers(self, _environ: "WSGIEnvironment") -> Headers:
        """Return the headers as they are."""
        return self.headers


def content_disposition(name: str) -> str:
    """Return the RFC 6266 header that makes clients save the file under its name.

    Clients that do not know `filename*` get the name in ASCII, with `_` for other characters.
    """
    plain = unicodedata.normalize("NFKD", name)
    ascii_name = "".join(
        c if " " <= c <= "~" and c not in '"\\%' else "_" for c in plain if not unicodedata.combining(c)
    )
    header = f'attachment; filename="{ascii_name}"'
    return header if ascii_name == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def repr_digest(digest: str | None) -> str | None:
    """Return a stored digest in the form of RFC 9530, None if that does not name the algorithm."""
    algorithm, _, value = (digest or "").partition(":")
    name = {"sha256": "sha-256", "sha512": "sha-512"}.get(algorithm)
    return f"{name}=:{base64.b64encode(bytes.fromhex(value)).decode()}:" if name else None


def send(file: Entry, ticket: Ticket | None, *, attachment: bool = True, one_time: bool = False) -> Response:
    """Answer the current request with a file that a service has decided to send.

    An attachment is saved under its name; anything else browsers may show, unless it could contain scripts. No cache on
    the way may keep a one-time file. Raises NotFound if the bytes are missing, Unavailable if their store or host is
    away.
    """
    response = _answered_here(file, ticket, one_time=one_time)
    headers = _headers(file, ticket, attachment=attachment, one_time=one_time)
    if response is None:
        response = _AccelRedirect(headers=_for_nginx(file, ticket, headers, one_time=one_time))
    else:
        response.headers.update(headers)
    if request.method != "HEAD" and response.status_code < HTTPStatus.MULTIPLE_CHOICES:
        # nginx's log says how many bytes of a range were sent.
        logs.note(
            "download", surface=file.surface, file=file.id, bytes=None if "HTTP_RANGE" in request.environ else file.size
        )
    return response


def _answered_here(file: Entry, ticket: Ticket | None, *, one_time: bool) -> Response | None:
    """Return our own response, with or without the bytes; None if nginx is to send them."""
    if one_time and ticket is None and request.method == "GET":
        return _without_bytes(file)
    if settings.behind_nginx:
        return _decided_here(file, ticket)
    with _reading(file, ticket):
        _check_here(file)
        content = blobs.opened(file)
    version = _version(file, ticket)
    with _reading(file, None):  # if it fails, it has given the lease back
        return by_python.send(content, version, ticket)


def _headers(file: Entry, ticket: Ticket | None, *, attachment: bool, one_time: bool) -> dict[str, str]:
    kind = file.content_type or types_by_name.media_type(file.name)
    headers = {
        "Content-Type": kind,
        # Untrusted bytes: no scripts if a browser shows them after all. `hooks.hygiene` forbids to guess their type.
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store" if one_time else "no-cache",
    }
    if attachment:
        headers["Content-Disposition"] = content_disposition(file.name)
    elif kind.startswith(_ACTIVE):
        headers["Content-Disposition"] = "attachment"
    # A short secret can be guessed from its digest, so a one-time file's digest goes only to a client that gets it all.
    sends_digest = not one_time or (ticket is not None and "Range" not in request.headers)
    if sends_digest and (digest := repr_digest(file.digest)):
        headers["Repr-Digest"] = digest
    if ticket:
        headers[RESUME_HEADER] = ticket.lease_token
    return headers


def span_of() -> Callable[[Entry], Span | None] | None:
    """Return a function from a file to the requested span, or None if the request asks for the whole file.

    The function returns None for a request that gets no bytes (304, 412, 416).
    """
    return _asked_span if conditions.any_in(request.environ) else None


def _asked_span(file: Entry) -> Span | None:
    version = _version(file, None)
    status, span = conditions.judge(request.headers, version, with_ranges=True)
    return span or (0, version.size) if status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT} else None


def _without_bytes(file: Entry) -> Response:
    """Answer a request that gets no bytes of a one-time file; nginx is not asked, for it might decide otherwise."""
    version = _version(file, None)
    status, _ = conditions.judge(request.headers, version, with_ranges=True)
    if status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        raise Unavailable("the bytes were replaced meanwhile")
    return by_python.without_bytes(status, version)


def _version(file: Entry, ticket: Ticket | None) -> Version:
    if file.modified is not None:
        return Version(file.modified, file.size)
    with _reading(file, ticket):  # a row of an older version
        _check_here(file)
        return Version(blobs.modified(file.surface, file.blob, pending=file.pending), file.size)


def _check_here(file: Entry) -> None:
    """Raise Unavailable while the bytes are in the pending area of another host: we cannot read them."""
    if file.pending and not hosts.is_here(file.host):
        raise Unavailable(f"The bytes of file {file.id} are on another host until they are placed.")


def _decided_here(file: Entry, ticket: Ticket | None) -> Response | None:
    """Return a 304 for conditions that nginx might decide otherwise, None if nginx is to send bytes.

    For a file in an object store we decide all conditions and ranges, and answer HEAD. Raises PreconditionFailed and
    RequestedRangeNotSatisfiable.
    """
    is_object = _is_object(file)
    if not (is_object or conditions.nginx_differs(request.environ)):
        return None
    version = _version(file, ticket)
    with_ranges = is_object and request.method != "HEAD"
    status, _ = conditions.judge(request.headers, version, with_ranges=with_ranges)
    if status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        return by_python.head(version) if is_object and request.method == "HEAD" else None
    if ticket:
        confirmations.handle(Sent(ticket, None, complete=False))
    return by_python.without_bytes(status, version)


def _is_object(file: Entry) -> bool:
    return not file.pending and file.store != FILESYSTEM


def _for_nginx(file: Entry, ticket: Ticket | None, file_headers: dict[str, str], *, one_time: bool) -> dict[str, str]:
    """Return the headers that tell nginx which file to send, and with which headers."""
    # nginx logs `/_once/` in its journal, but not `/_any/`; it percent-decodes the path.
    times = "_once" if ticket else "_any"
    location, headers = _location(file, ticket, times)
    headers |= file_headers
    headers["X-Accel-Redirect"] = f"/{times}/{location}"
    headers["X-File"] = str(file.id)  # for the access log
    headers["Content-Length"] = "0"
    if ticket:
        headers["X-Ticket"] = str(ticket)
    if not one_time:
        headers[nginx_cache.EXPIRES_HEADER] = _end_of_life(file)
        # If the bytes are gone, nginx asks again. Under their own names it would keep these for what it sends then.
        for name in headers.keys() & {"Cache-Control", "Content-Disposition"}:
            headers[f"X-{name}"] = headers.pop(name)
    return headers


def _location(file: Entry, ticket: Ticket | None, times: str) -> tuple[str, dict[str, str]]:
    """Return where nginx finds the bytes, below its locations for files, and what else it has to know.

    Raises NotFound, and Unavailable if another host has the bytes and cannot be asked.
    """
    path = quote(relative(file.surface, file.blob))
    if file.pending and not hosts.is_here(file.host):
        with _reading(file, ticket):
            return f"elsewhere/{path}", {"X-Spool-Address": hosts.address(file.host), "X-Spool-Key": hosts.key()}
    if _is_object(file):
        return _object(file, ticket)
    # nginx asks again if it finds no bytes, except for one-time files; so we check those ourselves.
    if ticket or nginx_cache.is_fresh():
        with _reading(file, ticket):
            blobs.path(file.surface, file.blob, pending=file.pending).stat()
    if conditions.nginx_may_refuse(request.environ):
        _, span = conditions.judge(request.headers, _version(file, ticket), with_ranges=request.method != "HEAD")
        return f"decided/{PENDING if file.pending else 'store'}/{path}", _range(span)
    if file.pending:
        return f"{PENDING}/{path}", {}
    folder = "small" if times == "_any" and file.size <= NGINX_BUFFER_BYTES else "store"
    return f"{folder}/{path}", {}


def _object(file: Entry, ticket: Ticket | None) -> tuple[str, dict[str, str]]:
    """Return what `_location` does for an object: its path and signature, and our answer to ranges and conditions.

    Nobody looks whether the object exists: the object store says so to nginx.
    """
    with _reading(file, ticket):
        store = blobs.objects
        path = store.internal(file.surface, file.blob)
    version = _version(file, ticket)
    _, span = conditions.judge(request.headers, version, with_ranges=True)
    headers = {
        "X-Object-Origin": f"{store.scheme}://{OBJECTS}",
        "X-Object-Host": store.host,
        "X-Object-Etag": version.etag,
        "X-Object-Modified": http_date(version.modified),
    }
    return path, headers | _range(span)


def _range(span: Span | None) -> dict[str, str]:
    """Return the header that tells nginx which range to ask another server for, if any."""
    return {} if span is None else {"X-Object-Range": f"bytes={span[0]}-{span[1] - 1}"}


def _end_of_life(file: Entry) -> str:
    """Return until when nginx may cache the response.

    After a deletion nginx finds no bytes and asks again. Other hosts cannot remove pending bytes at once, so responses
    that lead there are not cached. Nor are those in which we have decided conditions. An object store may be away when
    it should remove an object, so responses that lead there end soon after the row was read (`services.deletions`).
    """
    if file.pending or (_is_object(file) and conditions.any_in(request.environ)):
        return nginx_cache.NEVER
    seconds = nginx_cache.RESPONSE_SECONDS if file.digest else nginx_cache.UNFINISHED_SECONDS
    if _is_object(file):
        seconds = min(seconds, object_store.GRANT_SECONDS)
    return nginx_cache.until(seconds, file.expires_at)


@contextmanager
def _reading(file: Entry, ticket: Ticket | None) -> Iterator[None]:
    """Give the lease back if the bytes cannot be read.

    Raises NotFound if they are missing, Unavailable if the whole store is, or the host that has them.
    """
    try:
        yield
    except (OSError, Unavailable) as error:
        if ticket:
            confirmations.handle(Sent(ticket, None, complete=False))
        if not isinstance(error, FileNotFoundError):
            raise
        blobs.check(file)
        raise NotFound from None
