"""The surface `vimeo`: one-time files, optionally protected by a password.

    PUT  /vimeo/api/v1.0/file           multipart: one file, optionally `password`, `expires_in` → 201, the links
    GET  /vimeo/api/v1.0/file/<hash>    the file, once; 401 404 410 423

Departures from its document: the hash is random, as md5(name + time) could be guessed; the password is hashed with
argon2id, not SHA-256, and may also come as `X-File-Password` or by Basic, with PUT as with GET, to keep it out of URLs;
errors also have a `message`, a sentence; an upload with an unknown field or parameter is refused; a file counts as
downloaded once all of it was sent, and 423 says that another client is downloading it just now. A client that shows
the `X-Download-Grant` it was given may resume its own download while no other client has the file. Each byte is sent
at most VIMEO_BUDGET times, and ranges that cover the file together use it up. The response to an upload also has
`size`, `downloads`, `expires_at`, and `manage_url`, which is for the uploader (`views.manage`).
"""

from collections.abc import Collection, Iterable
from http import HTTPStatus

from flask import Blueprint, Request, Response, jsonify, request, url_for

from vimeo_api.core import policy
from vimeo_api.core.errors import Malformed
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.files.send_budget import Span
from vimeo_api.services import downloads, uploads
from vimeo_api.views.descriptions import vimeo as described_as
from vimeo_api.web import manage_links, previews
from vimeo_api.web.hooks import auth
from vimeo_api.web.hooks.auth import needs
from vimeo_api.web.openapi import described
from vimeo_api.web.problems import Problem
from vimeo_api.web.receiving import receive
from vimeo_api.web.sending import delivery
from vimeo_api.web.surface import Resumable, Surface

POLICY = policy.VIMEO
FIELDS = frozenset({"password", "expires_in", "downloads"})  # of the form
QUERY = frozenset({"password"})  # of an upload
STORED = "File Uploaded Successfully"
PASSWORD_HEADER = "X-File-Password"  # noqa: S105 -- its name

blueprint = Blueprint("vimeo", __name__, url_prefix="/vimeo/api/v1.0")

# The document's own spelling.
_PHRASES = {
    HTTPStatus.METHOD_NOT_ALLOWED: "Method not Allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Request Entity too Large",
}
# For errors without a sentence, or with a library's; nginx uses the same ones.
_SENTENCES = {
    HTTPStatus.NOT_FOUND: "There is no such file or path.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not have this method.",
    HTTPStatus.GONE: "The file is gone: it has been downloaded, or its time is over.",
    HTTPStatus.PRECONDITION_FAILED: "The file is not the version that the request asks for.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The file is larger than the limit.",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "The file does not have the bytes that the request asks for.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong in the service.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The service is away for a moment.",
    HTTPStatus.INSUFFICIENT_STORAGE: "The disk is full; nothing was stored.",
}


def render(problem: Problem) -> Response:
    """Word a problem as this surface does: `{"error": "Not Found", "message": …}`."""
    status = HTTPStatus(problem.status)
    preview = status is HTTPStatus.SERVICE_UNAVAILABLE and problem.reason
    message = preview or _SENTENCES.get(status) or problem.reason or f"{problem.phrase}."
    response = jsonify(error=_PHRASES.get(status, problem.phrase), message=message)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Basic realm="file", charset="UTF-8"'  # RFC 7617
    return response


def _passwords(request: Request) -> list[str]:
    """Return the passwords a client sends: as a header, in the query, and by Basic with any user name.

    API tokens are left out: a browser that was asked for one adds it to every request, by Basic.
    """
    # WSGI decodes headers as Latin-1.
    sent = [header.encode("latin-1").decode("utf-8", "replace") for header in request.headers.getlist(PASSWORD_HEADER)]
    sent += request.args.getlist("password")
    basic = request.authorization
    if basic is not None and basic.type == "basic" and not auth.is_token(basic.password or ""):
        sent.append(basic.password or "")
    return sent


def _password(request: Request) -> str | None:
    """Return the password for a download: the first that is not empty, else "" if one was sent."""
    sent = _passwords(request)
    return next(filter(None, sent), "") if sent else None


def _new_password(field: str | None) -> str | None:
    """Return the password that is to protect the uploaded file, whichever way it was sent.

    Raises Malformed for one that is unclear: a file must not be left open because its password was not understood.
    """
    if auth.is_basic() and request.authorization is None:
        raise Malformed("The password in Authorization cannot be read.")
    sent = set(_passwords(request)) | ({field} if field is not None else set())
    if "" in sent:
        raise Malformed("The password is empty.")
    if len(sent) > 1:
        raise Malformed("The request has several passwords that differ.")
    return sent.pop() if sent else None


def _check_downloads(field: str | None) -> None:
    """Raise Malformed if a file is to be downloaded more than once."""
    if field not in {None, "1"}:
        raise Malformed("downloads must be 1: a file can be downloaded once.")


def _check_known(names: Iterable[str], known: Collection[str], place: str) -> None:
    """Raise Malformed for an unknown name, as it may be a misspelt `password`."""
    for name in names:
        if name not in known:
            raise Malformed(f"The {place} has {name[:50]!r}, which is not one of: {', '.join(sorted(known))}.")


def _link(key: str) -> str:
    return url_for("vimeo.download", key=key, _external=True)


def _span_of() -> downloads.SpanOf | None:
    """Return what says which bytes of a file the current request asks for, None for all. It raises Preview."""
    asked = delivery.span_of()
    if asked is None:
        return None

    def span_of(entry: Entry) -> Span | None:
        previews.check_range(request, entry.size)
        return asked(entry)

    return span_of


def _stored(key: str, _name: str) -> Response:
    """Say that the file of a resumable upload is stored, with its link."""
    response = jsonify(status=STORED, url=_link(key))
    response.status_code = HTTPStatus.CREATED
    return response


surface = Surface(
    "vimeo",
    frozenset({"vimeo"}),
    blueprint,
    render,
    resumable=Resumable(POLICY, _stored, password=_new_password),
    makes_keys=POLICY.makes_keys,
    sends_password=lambda request: _password(request) is not None,
)


@blueprint.put("/file")
@described(described_as.UPLOAD)
@needs("write")
def upload() -> Response:
    """Store a file and return its link."""
    with receive.form(POLICY.max_bytes, fields=FIELDS) as form:
        _check_known(form.fields, FIELDS, "form")
        _check_known(request.args, QUERY, "query")
        _check_downloads(form.fields.get("downloads"))
        file = form.file()
        new = uploads.upload(
            POLICY,
            file.staging,
            name=file.name,
            password=_new_password(form.fields.get("password")),
            expires_in=receive.expires_in(form.fields.get("expires_in")),
            token_id=auth.token_id(),
        )
    response = jsonify(
        status=STORED,
        url=_link(new.key),
        manage_url=manage_links.url(new.manage_key),
        size=new.size,
        downloads=1,
        expires_at=manage_links.moment(new.expires_at),
    )
    response.status_code = HTTPStatus.CREATED
    return response


@blueprint.get("/file/<key>")
@described(described_as.DOWNLOAD)
def download(key: str) -> Response:
    """Send a file; the first complete download uses it up."""
    if request.method == "GET":
        previews.check(request)
    return delivery.send(
        *downloads.open_download(
            POLICY,
            key,
            password=_password(request),
            resume_token=request.headers.get(delivery.RESUME_HEADER),
            with_body=request.method == "GET",
            span_of=_span_of(),
        ),
        one_time=True,
    )
