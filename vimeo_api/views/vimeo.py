"""The surface `vimeo`: one-time files, optionally protected by a password.

    PUT  /vimeo/api/v1.0/file           multipart: a file, or several for a zip; options are fields → 201
    GET  /vimeo/api/v1.0/file/<hash>    the file, once; 401 404 410 423; for a browser's navigation a page instead
    POST /vimeo/api/v1.0/file/<hash>/download         the page's button, with `password` → 303 to the next
    GET  /vimeo/api/v1.0/file/<hash>/download/<grant>        a page: starts the download, and says how far it is
    GET  /vimeo/api/v1.0/file/<hash>/download/<grant>/file   the file, for the browser that holds the grant

Departures from its document: the hash is random, as md5(name + time) could be guessed; the password is hashed with
argon2id, not SHA-256, and may also come as `X-File-Password` or by Basic, with PUT as with GET, to keep it out of URLs;
errors also have a `message`, a sentence; an upload with an unknown field or parameter is refused; a file counts as
downloaded once all of it was sent, and 423 says that another client is downloading it just now. A client that shows
the `X-Download-Grant` it was given may resume its own download while no other client has the file. Each byte is sent
at most VIMEO_BUDGET times, and ranges that cover the file together use it up. With `downloads` (1 to 10,000) exactly
this many downloads complete, several at once: 423 while all slots are taken, 410 once all are used up. Each byte is
then sent at most `downloads` × VIMEO_BUDGET times in all, to whichever clients. The response to an upload also has
`size`, `downloads`, `expires_at`, and `manage_url`, which is for the uploader (`views.manage`). `notify` is a URL that
gets the receipts (`core.receipts`).

A client that names `text/html` in Accept, as a browser's navigation does, and every known maker of previews gets a
page, which uses nothing up; the name of a protected file is shown only with its password. Only the page's button, a
POST, leads to the bytes. Its errors are pages, too. A prefetch that is announced and does not name HTML is 503.
"""

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Request, Response, jsonify, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from vimeo_api.core import policy
from vimeo_api.core.errors import Malformed
from vimeo_api.core.files import archives, storing
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.files.send_budget import Span
from vimeo_api.core.files.storing import Uploaded
from vimeo_api.services import downloads, granted_downloads, receipts
from vimeo_api.services.granted_downloads import Progress
from vimeo_api.views.descriptions import vimeo as described_as
from vimeo_api.web import manage_links, pages, previews
from vimeo_api.web.hooks import auth
from vimeo_api.web.hooks.auth import needs
from vimeo_api.web.openapi import described
from vimeo_api.web.problems import Problem
from vimeo_api.web.receiving import receive
from vimeo_api.web.sending import delivery
from vimeo_api.web.surface import FORM, Resumable, Surface

POLICY = policy.VIMEO
FIELDS = frozenset({"password", "expires_in", "downloads", "notify"})  # of the form
QUERY = frozenset({"password"})  # of an upload
STORED = "File Uploaded Successfully"
LOOK_AGAIN_SECONDS = 4  # after which the page of a download looks how far it is
MAX_PASSWORD_FORM = 16 * 1024  # bytes; a password of MAX_PASSWORD_BYTES, percent-encoded, is shorter
CONTENT_SECURITY_POLICY = f"{pages.PLAIN_POLICY}; frame-src 'self'"  # a hidden frame starts the download
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


_FOR_PEOPLE = {  # who opened a link in a browser
    HTTPStatus.NOT_FOUND: "There is no file at this address. Check that the link is complete.",
    HTTPStatus.GONE: "It was downloaded, its sender removed it, or its time is over. Ask the sender for a new link.",
    HTTPStatus.SERVICE_UNAVAILABLE: "This page tries again by itself. Nothing is lost: the file waits.",
    HTTPStatus.TOO_MANY_REQUESTS: "There were too many wrong passwords, or too many requests. Try again later.",
}
_HEADINGS = {HTTPStatus.NOT_FOUND: "There is no such file"}


def render(problem: Problem) -> Response:
    """Word a problem as this surface does: `{"error": "Not Found", "message": …}`."""
    status = HTTPStatus(problem.status)
    preview = status is HTTPStatus.SERVICE_UNAVAILABLE and problem.reason
    message = preview or _SENTENCES.get(status) or problem.reason or f"{problem.phrase}."
    if request.method != "PUT" and pages.names_html():
        return _error_page(problem, preview or _FOR_PEOPLE.get(status) or message)
    response = jsonify(error=_PHRASES.get(status, problem.phrase), message=message)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Basic realm="file", charset="UTF-8"'  # RFC 7617
    return response


def _error_page(problem: Problem, reason: str) -> Response:
    """Return an error as a page. One that may pass links to the file again; 423 and 503 try again by themselves."""
    status, key = HTTPStatus(problem.status), (request.view_args or {}).get("key")
    link = url_for("vimeo.download", key=key) if key else None
    if status is HTTPStatus.UNAUTHORIZED and key:
        response = _link_page(key, None, wrong=request.method == "POST" or _password(request) is not None)
        response.headers["WWW-Authenticate"] = 'Form realm="file"'  # a browser would ask for Basic in a window
        return response
    retry_after = problem.headers.get("Retry-After")
    waits = status in {HTTPStatus.LOCKED, HTTPStatus.SERVICE_UNAVAILABLE} and bool(link and retry_after)
    if status is HTTPStatus.LOCKED and waits:
        reason = "Somebody is downloading it. If they do not finish, it is free again; this page tries again by itself."
    stays = status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
    response = pages.error(status, reason, heading=_HEADINGS.get(status, ""), again=None if stays else link)
    response.headers["Cache-Control"] = "no-store"
    if waits:
        # As a header: accessibility checkers object to a page that says so itself.
        response.headers["Refresh"] = f"{retry_after}; url={link}"
    return response


def _passwords(request: Request) -> list[str]:
    """Return the passwords a client sends: as a header, in the query, and by Basic with any user name.

    API tokens are left out: a browser that was asked for one adds it to every request, by Basic.
    """
    sent = request.args.getlist("password")
    if (header := request.headers.get(PASSWORD_HEADER)) is not None:
        sent.insert(0, header.encode("latin-1").decode("utf-8", "replace"))  # WSGI decodes headers as Latin-1
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


def _check_known(names: Iterable[str], known: Collection[str], where: str) -> None:
    """Raise Malformed for an unknown name, as it may be a misspelt `password`."""
    for name in names:
        if name not in known:
            raise Malformed(f"The {where} has {name[:50]!r}, which is not one of: {', '.join(sorted(known))}.")


def _link(key: str) -> str:
    return url_for("vimeo.download", key=key, _external=True)


def _span_of() -> downloads.SpanOf | None:
    """Return a function from a file to the bytes that the request asks for, None for all; it raises Preview."""
    asked = delivery.span_of()
    if asked is None:
        return None

    def span_of(entry: Entry) -> Span | None:
        previews.check_range(request, entry.size)
        return asked(entry)

    return span_of


def _stored(new: Uploaded) -> Response:
    """Say that a file is stored, with its links."""
    uploaded = {
        "status": STORED,
        "url": _link(new.key),
        "manage_url": manage_links.url(new.manage_key),
        "size": new.size,
        "downloads": new.downloads,
        "expires_at": manage_links.moment(new.expires_at),
    }
    # In this order, with the two keys of its document first: shell scripts cut them out.
    return Response(f"{json.dumps(uploaded)}\n", HTTPStatus.CREATED, mimetype="application/json")


surface = Surface(
    "vimeo",
    frozenset({"vimeo"}),
    blueprint,
    render,
    resumable=Resumable(POLICY, _stored, {"vimeo.upload": FORM}, password=_new_password, notifies=True),
    makes_keys=POLICY.makes_keys,
    sends_password=lambda request: _password(request) is not None or request.endpoint == "vimeo.begin",
)


@blueprint.put("/file")
@described(described_as.UPLOAD)
@needs("write")
def upload() -> Response:
    """Store a file, or several as one zip, and return its link."""
    with receive.form(POLICY.max_bytes, fields=FIELDS) as form:
        _check_known(form.fields, FIELDS, "form")
        _check_known(request.args, QUERY, "query")
        options: dict[str, Any] = {
            "password": _new_password(form.fields.get("password")),
            "expires_in": receive.expires_in(form.fields.get("expires_in")),
            "notify_url": receipts.checked(form.fields.get("notify")),
            "downloads": receive.downloads(form.fields.get("downloads")),
        }
        with archives.as_one(POLICY, form.named()) as (name, staging):
            new = storing.upload(POLICY, staging, name=name, token_id=auth.token_id(), **options)
    return _stored(new)


@blueprint.get("/file/<key>")
@described(described_as.DOWNLOAD)
def download(key: str) -> Response:
    """Send a file; its last complete download uses it up. A browser's navigation gets a page instead."""
    if request.method == "GET" and (pages.names_html() or previews.is_agent(request)):
        entry, opened = granted_downloads.look(POLICY, key, password=_password(request))
        shown = entry if opened else None
        return _link_page(key, shown, left=downloads.left(entry), expires_at=entry.expires_at)
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


@blueprint.post("/file/<key>/download")
@described(described_as.BEGIN)
def begin(key: str) -> AnyResponse:
    """Redirect a browser to its own address of the download."""
    password = receive.urlencoded(MAX_PASSWORD_FORM).get("password") or _password(request)
    grant = granted_downloads.grant(POLICY, key, password=password)
    response = redirect(url_for("vimeo.granted", key=key, grant=grant), HTTPStatus.SEE_OTHER)
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/file/<key>/download/<grant>")
@described(described_as.GRANTED)
def granted(key: str, grant: str) -> Response:
    """Show how far a browser's download is, and start it."""
    file = granted_downloads.look_granted(POLICY, key, grant)
    state = {"progress": file.progress, "done_at": file.done_at}
    response = _page("granted.html", file=file.entry, key=key, grant=grant, **state)
    if file.progress in {Progress.READY, Progress.RUNNING}:
        response.headers["Refresh"] = str(LOOK_AGAIN_SECONDS)
    return response


@blueprint.get("/file/<key>/download/<grant>/file")
@described(described_as.GRANTED_FILE)
def granted_file(key: str, grant: str) -> Response:
    """Send a file to the browser that holds the grant, from where it asks for it."""
    if request.method == "GET":
        previews.check(request)
    opened = granted_downloads.open_granted(
        POLICY, key, grant, with_body=request.method == "GET", span_of=delivery.span_of()
    )
    return delivery.send(*opened, one_time=True)


def _link_page(
    key: str,
    entry: Entry | None,
    *,
    left: int | None = None,
    expires_at: datetime | None = None,
    wrong: bool = False,
) -> Response:
    """Return the page of a link; without the file it asks for the password."""
    password = _password(request) if entry else None
    return _page("link.html", file=entry, key=key, left=left, expires_at=expires_at, wrong=wrong, password=password)


def _page(template: str, **values: object) -> Response:
    response = pages.page(template, CONTENT_SECURITY_POLICY, **values)
    response.headers["Cache-Control"] = "no-store"
    response.vary.update({"Accept", "User-Agent"})
    return response
