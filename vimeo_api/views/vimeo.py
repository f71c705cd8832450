"""The surface `vimeo`: one-time files, protected by a password if their owner wishes.

    PUT  /vimeo/api/v1.0/file           multipart: a file, optionally `password`, `expires_in` seconds → 201, the link
    GET  /vimeo/api/v1.0/file/<hash>    the file, once; 401 404 410 423

Departures from its document: the hash is random where md5(name + time) could be guessed; the password is hashed
with argon2id, not SHA-256, and may come as `X-File-Password` or by Basic too, so that it need not stand in a URL;
a file counts as downloaded once all of it was sent, and 423 says that somebody else is downloading it just now.
A client that shows the `X-Download-Grant` it was given may resume its own download, in ranges if it likes.
"""

from http import HTTPStatus

from flask import Blueprint, Request, Response, jsonify, request, url_for

from vimeo_api.core import policy
from vimeo_api.services import downloads, uploads
from vimeo_api.views.descriptions import vimeo as described_as
from vimeo_api.web.hooks import auth
from vimeo_api.web.hooks.auth import needs
from vimeo_api.web.openapi import described
from vimeo_api.web.problems import Problem
from vimeo_api.web.receiving import receive
from vimeo_api.web.sending import delivery
from vimeo_api.web.surface import Surface

POLICY = policy.VIMEO

blueprint = Blueprint("vimeo", __name__, url_prefix="/vimeo/api/v1.0")

# The document's own spelling.
_PHRASES = {
    HTTPStatus.METHOD_NOT_ALLOWED: "Method not Allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Request Entity too Large",
}


def render(problem: Problem) -> Response:
    """Word a problem as this surface does: `{"error": "Not Found"}`."""
    response = jsonify(error=_PHRASES.get(HTTPStatus(problem.status), problem.phrase))
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Basic realm="file", charset="UTF-8"'  # RFC 7617
    return response


def _password(request: Request) -> str | None:
    """Return the password a client sends: as a header, in the query, or by Basic with any user name.

    A browser that was asked for an API token adds it to every address, by Basic, too.
    """
    if header := request.headers.get("X-File-Password"):
        return header.encode("latin-1").decode("utf-8", "replace")  # WSGI hands headers on as Latin-1
    if asked := request.args.get("password"):
        return asked
    if request.authorization and (basic := request.authorization.password) and not auth.is_token(basic):
        return basic
    return asked


surface = Surface(
    "vimeo",
    frozenset({"vimeo"}),
    blueprint,
    render,
    makes_keys=POLICY.makes_keys,
    shows_password=lambda request: _password(request) is not None,
)


@blueprint.put("/file")
@described(described_as.UPLOAD)
@needs("write")
def upload() -> tuple[Response, int]:
    """Store a file and answer its link."""
    with receive.form(POLICY.max_bytes) as form:
        key = uploads.upload(
            POLICY,
            form.staging,
            name=form.filename,
            password=form.fields.get("password"),
            expires_in=receive.expires_in(form.fields.get("expires_in")),
            token_id=auth.token_id(),
        )
    link = url_for("vimeo.download", key=key, _external=True)
    return jsonify(status="File Uploaded Successfully", url=link), HTTPStatus.CREATED


@blueprint.get("/file/<key>")
@described(described_as.DOWNLOAD)
def download(key: str) -> Response:
    """Send a file; the first complete download uses it up."""
    return delivery.send(
        *downloads.open_download(
            POLICY,
            key,
            password=_password(request),
            resume_token=request.headers.get(delivery.RESUME_HEADER),
            with_body=request.method == "GET",
        ),
        one_time=True,
    )
