"""The surface `uploads`: resumable uploads to the other surfaces, by tus 1.0.0 and the IETF's draft of the same.

    OPTIONS            /uploads/<surface>          versions, extensions and limits
    POST               /uploads/<surface>          begins an upload, with or without its first bytes → 201, its Location
    HEAD               /uploads/<surface>/<key>    how many bytes are durable
    PATCH              /uploads/<surface>/<key>    appends the body at `Upload-Offset`
    GET                /uploads/<surface>/<key>    the same; once the upload is finished, what the surface answered
    DELETE             /uploads/<surface>/<key>    ends the upload
    POST               /uploads/<surface>/<key>    any of these, named in `X-HTTP-Method-Override`

Once the last byte is durable, the upload becomes a file of its surface, under the same rules as any other. What that
surface answers to an upload is the body of GET, of the last PATCH in the draft, and `Upload-Result` (percent-encoded)
in tus, whose responses have no body; its header `X-Manage-Url` comes with any of them. The name and the fields of the
file come in `Upload-Metadata` (tus), or in `Content-Disposition` and the query (draft).

Departures: `password` and `notify` in `Upload-Metadata` are not repeated by HEAD. Partial uploads are removed once they
are joined. There are no 104 responses and no trailers. In production an upload that a client continues elsewhere does
not end the connection that it left open; HEAD waits for it a while, and its bytes are dropped once a later request has
its place.
"""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

from flask import Blueprint, Response, current_app, g, jsonify, request, url_for
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.http import http_date

from vimeo_api.core import identifiers
from vimeo_api.core.access import passwords
from vimeo_api.core.clock import now
from vimeo_api.core.errors import DigestMismatch, Inconsistent, Malformed, NotFound, PipelineError, TooLarge
from vimeo_api.core.unfinished import expiry
from vimeo_api.core.unfinished.rows import NewUpload, Upload
from vimeo_api.extensions import reservations, settings
from vimeo_api.services import receipts, resumable
from vimeo_api.services.resumable import Answer, Content
from vimeo_api.services.uploads import Uploaded
from vimeo_api.views.descriptions import uploads as described_as
from vimeo_api.web import clients, manage_links
from vimeo_api.web.hooks import auth
from vimeo_api.web.hooks.auth import needs
from vimeo_api.web.openapi import described
from vimeo_api.web.problems import Problem
from vimeo_api.web.receiving import bodies, receive
from vimeo_api.web.resumable import draft, running, tus
from vimeo_api.web.surface import Resumable, Surface

# What clients send beside the name, and what nobody needs.
NAMES = ("filename", "name")
IGNORED = frozenset({"filetype", "type", "relativePath", "contentType"})
_RESULT_SAFE = " !\"#$&'()*+,/:;<=>?@[]^`{|}~"  # printable ASCII but for the percent sign

blueprint = Blueprint("uploads", __name__)


def render(problem: Problem) -> Response:
    """Word a problem as `{"error": …}`, or as the draft's problem type (RFC 9457)."""
    if kind := problem.details.get("type"):
        response = jsonify(problem.details | {"type": f"{draft.PROBLEMS}{kind}", "title": problem.reason})
        response.mimetype = "application/problem+json"
        return response
    return jsonify(error=problem.reason or problem.phrase)


surface = Surface("uploads", frozenset({"uploads"}), blueprint, render, remembers=False)


@blueprint.after_request
def speak(response: Response) -> Response:
    """Add what the two protocols want in every response."""
    response.headers["Cache-Control"] = "no-store"
    if request.method == "OPTIONS":
        response.headers.update(_offer())
        return response
    response.headers["Tus-Resumable"] = tus.VERSION
    if _is_admission():
        response.headers["X-Refusal"] = " ".join(response.get_data(as_text=True).split())  # nginx sends it on
    if draft.is_meant():
        response.headers.setdefault("Upload-Complete", draft.boolean(g.get("processed", False)))
        if (version := request.headers.get(draft.VERSION_HEADER)) is not None:
            response.headers[draft.VERSION_HEADER] = version
    return response


@blueprint.post("/uploads/<surface>")
@described(described_as.CREATE)
@needs("write")
def create(surface: str) -> Response:
    """Begin a resumable upload."""
    dialect = _dialect(surface)
    return _create_by_draft(dialect) if draft.is_meant() else _create_by_tus(dialect)


@blueprint.patch("/uploads/<surface>/<key>")
@described(described_as.APPEND)
@needs("write", again=True)
def append(surface: str, key: str) -> Response:
    """Append bytes to a resumable upload."""
    dialect = _dialect(surface)
    upload = _find(dialect, key)
    return _append_by_draft(dialect, upload) if draft.is_meant() else _append_by_tus(dialect, upload)


@blueprint.get("/uploads/<surface>/<key>")
@described(described_as.STATE)
@needs("write", again=True)
def state(surface: str, key: str) -> Response:
    """Say how far a resumable upload is."""
    dialect = _dialect(surface)
    running.end(key)
    upload = _finished(dialect, resumable.settled(_find(dialect, key)))
    answered = upload.is_finished and request.method == "GET"
    response = _answer(upload) if answered else Response(status=HTTPStatus.NO_CONTENT)
    response.headers.update(_state(dialect, upload))
    return response


@blueprint.delete("/uploads/<surface>/<key>")
@described(described_as.END)
@needs("write", again=True)
def end(surface: str, key: str) -> Response:
    """End a resumable upload."""
    _find(_dialect(surface), key)
    running.end(key)
    expiry.remove(key)
    return Response(status=HTTPStatus.NO_CONTENT)


@blueprint.post("/uploads/<surface>/<key>")
@described(described_as.OVERRIDE)
@needs("write", again=True)
def override(surface: str, key: str) -> Response:
    """Append to a resumable upload, or end it, from where only POST can be sent."""
    views = {"PATCH": append, "DELETE": end}
    method = request.headers.get("X-HTTP-Method-Override", "").upper()
    if method not in views:
        raise MethodNotAllowed(["DELETE", "GET", "PATCH"])
    return views[method](surface, key)


def _create_by_tus(dialect: Resumable) -> Response:
    tus.check_version()
    concat = tus.concat()
    sent = {name: _text(name, value) for name, value in tus.metadata().items()}
    name = next((sent[one] for one in NAMES if sent.get(one)), "")
    is_final = concat.startswith("final")
    length = None if is_final else tus.new_length()
    new = _new(
        dialect,
        sent,
        name=name,
        length=length,
        concat=concat,
        described=tus.repeatable(),
        ignored=IGNORED | set(NAMES),
    )
    if is_final:
        return _join(dialect, new)
    with_upload = request.mimetype == tus.MEDIA_TYPE
    content = Content(size=_size(), digests=tus.checksum())
    try:
        upload = _begin(dialect, new, content, with_upload=with_upload)
    except DigestMismatch as error:
        return _mismatch(error)
    if upload is None:
        return Response(status=HTTPStatus.NO_CONTENT)
    response = Response(status=HTTPStatus.CREATED)
    response.headers.update(_tus_headers(_finished(dialect, upload), with_offset=with_upload))
    response.headers["Location"] = _url(upload)
    return response


def _join(dialect: Resumable, new: NewUpload) -> Response:
    keys = tus.sources(new.concat, new.surface)
    if _is_admission():
        return Response(status=HTTPStatus.NO_CONTENT)
    upload = _finished(dialect, resumable.join(dialect.policy, new, keys))
    for key in keys:
        expiry.remove(key)
    response = Response(status=HTTPStatus.CREATED)
    response.headers.update(_tus_headers(upload))
    response.headers["Location"] = _url(upload)
    return response


def _append_by_tus(dialect: Resumable, upload: Upload) -> Response:
    tus.check_version()
    tus.check_media_type()
    content = Content(length=tus.number("Upload-Length"), size=_size(), digests=tus.checksum())
    try:
        after = _append(dialect, upload, tus.offset(), content)
    except DigestMismatch as error:
        return _mismatch(error)
    response = Response(status=HTTPStatus.NO_CONTENT)
    if after is not None:
        response.headers.update(_tus_headers(_finished(dialect, after)))
    return response


def _mismatch(error: DigestMismatch) -> Response:
    response = jsonify(error=str(error))
    response.status = f"{tus.CHECKSUM_MISMATCH} Checksum Mismatch"
    return response


def _tus_headers(upload: Upload, *, with_offset: bool = True) -> dict[str, str]:
    headers = {"Upload-Offset": str(upload.offset)} if with_offset else {}
    if upload.is_finished:
        headers["Upload-Result"] = quote((upload.answer or "").rstrip("\n"), safe=_RESULT_SAFE)
        headers |= _manage_url(upload)
    elif upload.expires_at is not None:
        headers["Upload-Expires"] = http_date(upload.expires_at)
    return headers


def _manage_url(upload: Upload) -> dict[str, str]:
    return {manage_links.HEADER: upload.answer_manage_url} if upload.answer_manage_url else {}


def _create_by_draft(dialect: Resumable) -> Response:
    completes = draft.completes()
    if completes is None:
        raise Malformed("Upload-Complete must be ?0 or ?1.")
    length = _draft_length(0, completes=completes)
    new = _new(dialect, request.args, name=draft.file_name(), length=length, closed=completes)
    content = Content(size=_size(), closed=completes, ends=completes, digests=draft.digests("Content-Digest"))
    upload = _begin(dialect, new, content, with_upload=True)
    if upload is None:
        return Response(status=HTTPStatus.NO_CONTENT)
    response = _draft_outcome(dialect, upload, HTTPStatus.CREATED)
    response.headers["Location"] = _url(upload)
    return response


def _append_by_draft(dialect: Resumable, upload: Upload) -> Response:
    draft.check_media_type()
    completes, offset = draft.completes(), draft.number("Upload-Offset")
    if completes is None or offset is None:
        raise Malformed("Upload-Complete and Upload-Offset are both needed.")
    if upload.is_finished and completes and offset == upload.offset and not _size():
        return _draft_outcome(dialect, upload, HTTPStatus.NO_CONTENT)  # the client lost the response
    length = _draft_length(offset, completes=completes)
    content = Content(length, _size(), completes, completes, draft.digests("Content-Digest"))
    try:
        after = _append(dialect, upload, offset, content)
    except TooLarge:
        expiry.remove(upload.key)  # section 4.4.2: the upload is invalid from now on
        raise
    if after is None:
        return Response(status=HTTPStatus.NO_CONTENT)
    return _draft_outcome(dialect, after, HTTPStatus.NO_CONTENT)


def _draft_length(offset: int, *, completes: bool) -> int | None:
    """Return the length of the whole as the request says it, in one way or two. Raises Inconsistent."""
    said, size = draft.number("Upload-Length"), _size()
    ends = offset + size if completes and size is not None else None
    if None not in {said, ends} and said != ends:
        raise Inconsistent("The lengths in the request differ.")
    return said if ends is None else ends


def _draft_outcome(dialect: Resumable, upload: Upload, status: HTTPStatus) -> Response:
    if upload.is_whole:
        g.processed = True  # an error from now on is about the file, not about the upload
        upload = _finished(dialect, upload)
        response = _answer(upload)
    else:
        response = Response(status=status)
        response.headers["Upload-Limit"] = _limits(dialect, upload)
    response.headers["Upload-Offset"] = str(upload.offset)
    response.headers["Upload-Complete"] = draft.boolean(upload.is_finished)
    return response


def _begin(dialect: Resumable, new: NewUpload, content: Content, *, with_upload: bool) -> Upload | None:
    """Begin an upload with the bytes of the request, if there are any; None for nginx's question before them."""
    if _is_admission():
        resumable.check_new(dialect.policy, new)
        resumable.check_size(dialect.policy, new.length, content.size)
        _reserve()
        return None
    writer = request.environ["X_REQUEST_ID"]
    upload = resumable.begin(dialect.policy, new, writer=writer if with_upload and settings.behind_nginx else None)
    if not with_upload:
        return upload
    try:
        return _received(dialect, upload, 0, writer, content)
    except PipelineError:
        expiry.remove(upload.key)  # the client does not know its URL yet
        raise


def _append(dialect: Resumable, upload: Upload, offset: int, content: Content) -> Upload | None:
    """Append the bytes of the request; None for nginx's question before them."""
    writer = request.environ["X_REQUEST_ID"]
    if _is_admission():
        if offset != upload.offset:
            upload = resumable.settled(upload)
        resumable.claim(dialect.policy, upload, offset, writer, content)
        _reserve()
        return None
    if not settings.behind_nginx:
        running.end(upload.key)
        upload = resumable.settled(upload)
    return _received(dialect, upload, offset, writer, content)


def _received(dialect: Resumable, upload: Upload, offset: int, writer: str, content: Content) -> Upload:
    if settings.behind_nginx:
        return resumable.append_spooled(dialect.policy, upload, writer, bodies.spooled_file(), content)
    with running.sending(upload.key), bodies.opened(None) as read:
        return resumable.append_streamed(dialect.policy, upload, read, offset=offset, writer=writer, content=content)


def _finished(dialect: Resumable, upload: Upload) -> Upload:
    """Return an upload; if it is whole, it has become a file."""
    if upload.is_finished or upload.is_partial or not upload.is_whole:
        return upload

    def word(new: Uploaded) -> Answer:
        response = dialect.answer(new)
        body, manage_url = response.get_data(as_text=True), response.headers.get(manage_links.HEADER)
        return Answer(response.status_code, response.content_type or "", body, manage_url)

    return resumable.finish(dialect.policy, upload, word)


def _answer(upload: Upload) -> Response:
    """Return what the surface answered to a finished upload."""
    response = Response(upload.answer, upload.answer_status, content_type=upload.answer_type)
    response.headers.update(_manage_url(upload))
    return response


def _state(dialect: Resumable, upload: Upload) -> dict[str, str]:
    """Return the state of an upload in both protocols, which share what they can."""
    headers = {**_tus_headers(upload), "Upload-Complete": draft.boolean(upload.is_finished)}
    headers["Upload-Limit"] = _limits(dialect, upload)
    if upload.length is None:
        headers["Upload-Defer-Length"] = "1"
    else:
        headers["Upload-Length"] = str(upload.length)
    return headers | {
        name: value
        for name, value in (("Upload-Metadata", upload.described), ("Upload-Concat", upload.concat))
        if value
    }


def _limits(dialect: Resumable, upload: Upload) -> str:
    left = int((upload.expires_at - now()).total_seconds()) if upload.expires_at else None
    return draft.limits(dialect.policy.max_bytes, left)


def _offer() -> dict[str, str]:
    """Return what OPTIONS says: what we speak, and the limits of the surface."""
    dialect = _dialects().get((request.view_args or {}).get("surface", ""))
    most = dialect.policy.max_bytes if dialect else None
    return {
        "Tus-Version": tus.VERSION,
        "Tus-Extension": tus.EXTENSIONS,
        "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
        "Upload-Limit": draft.limits(most),
        **({} if most is None else {"Tus-Max-Size": str(most)}),
    }


def _new(
    dialect: Resumable,
    sent: Mapping[str, str],
    *,
    name: str,
    length: int | None,
    closed: bool = True,
    concat: str = "",
    described: str = "",
    ignored: frozenset[str] = frozenset(),
) -> NewUpload:
    """Return the upload that a request describes. Raises Malformed."""
    if dialect.password and (unknown := set(sent) - ignored - {"password", "expires_in", "notify"}):
        raise Malformed(f"{min(unknown)[:50]!r} is unknown; the fields are: expires_in, filename, notify, password.")
    password = dialect.password(sent.get("password")) if dialect.password else None
    queue = sent.get("queue") if dialect.queue else None
    digests = [value.hex() for kind, value in draft.digests("Repr-Digest") if kind == "sha256"]
    return NewUpload(
        key=identifiers.random_hex(),
        surface=dialect.policy.surface,
        length=length,
        closed=closed,
        concat=concat,
        described=described,
        name=name,
        password_hash=passwords.hashed(password) if password and not _is_admission() else None,
        queue=dialect.queue(queue) if dialect.queue and queue is not None else None,
        expires_in=receive.expires_in(sent.get("expires_in")) if dialect.expires else None,
        notify_url=receipts.checked(sent.get("notify")) if dialect.notifies else None,
        expected_digest=f"sha256:{digests[0]}" if digests else None,
        token_id=auth.token_id(),
    )


def _find(dialect: Resumable, key: str) -> Upload:
    return resumable.find(dialect.policy, key, token_id=auth.token_id())


def _dialects() -> dict[str, Resumable]:
    found: dict[str, Resumable] = current_app.extensions["resumable"]
    return found


def _dialect(name: str) -> Resumable:
    if (dialect := _dialects().get(name)) is None:
        raise NotFound("There is no such surface for uploads.")
    return dialect


def _url(upload: Upload) -> str:
    return url_for("uploads.state", surface=upload.surface, key=upload.key, _external=True)


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Malformed(f"Upload-Metadata: {name[:50]!r} is not UTF-8.") from None


def _is_admission() -> bool:
    """Return whether nginx asks, before the first byte, if the request may send its body."""
    return bool(request.environ.get("X_ADMIT_UPLOAD"))


def _size() -> int | None:
    """Return the length of the request's body, None if it does not say."""
    if _is_admission():
        announced = request.environ["X_ANNOUNCED"]
        return int(announced) if announced else None
    if settings.behind_nginx:
        body = bodies.spooled_file()
        return body.stat().st_size if body else 0
    return request.content_length


def _reserve() -> None:
    """Reserve space for a large body, as `hooks.admission` does for other uploads."""
    if request.environ.get("X_LARGE"):
        reservations.reserve(request.environ["X_REQUEST_ID"], _size() or 0, client=clients.client())
    else:
        reservations.check_spool_space(_size() or 0)
