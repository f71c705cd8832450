"""The surface `store`: files by the hash of their content, at the root.

    POST    /                 multipart or the raw body → the hexadecimal digest, as text
    GET     /?file_hash=      the bytes (alias `hash`)
    DELETE  /?file_hash=      200, then 404

Departures from its document: SHA-256 instead of MD5, which collides; `STORE_ALGORITHM=md5` restores its ids. Without a
hash, GET redirects to the page of the surface `named`. Equal content is one file, so one DELETE removes it for all.
In an object store, the name of the bytes is random (docs/decisions/0022).
"""

from flask import Blueprint, Request, Response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from vimeo_api.core import policy
from vimeo_api.core.errors import Malformed
from vimeo_api.core.files import storing
from vimeo_api.services import downloads, files
from vimeo_api.views.descriptions import store as described_as
from vimeo_api.web.hooks import auth
from vimeo_api.web.hooks.auth import needs
from vimeo_api.web.openapi import described
from vimeo_api.web.problems import Problem
from vimeo_api.web.receiving import receive
from vimeo_api.web.sending import delivery
from vimeo_api.web.surface import FORM, Resumable, Surface

POLICY = policy.STORE

blueprint = Blueprint("store", __name__)


def render(problem: Problem) -> Response:
    """Word a problem in a line of plain text."""
    return Response(problem.reason or problem.phrase, content_type="text/plain; charset=utf-8")


def asked_hash(req: Request) -> str | None:
    """Return the hash in a request's query, in lower case, None if there is none."""
    text = req.args.get("file_hash", req.args.get("hash"))
    return None if text is None else text.lower()


def _stored(digest: str) -> Response:
    return Response(digest, content_type="text/plain; charset=utf-8")


surface = Surface(
    "store",
    frozenset({""}),
    blueprint,
    render,
    resumable=Resumable(POLICY, lambda new: _stored(new.key), {"store.upload": FORM}, expires=False),
    key_of=lambda req: asked_hash(req) or "",
)


@blueprint.post("/")
@described(described_as.UPLOAD)
@needs("write")
def upload() -> Response:
    """Store content and return its hash."""
    if receive.is_form():
        with receive.form(POLICY.max_bytes) as form:
            digest = storing.upload_content(POLICY, form.file("file").staging, token_id=auth.token_id())
    else:
        with receive.raw(POLICY.max_bytes) as staging:
            if staging.size == 0:
                raise Malformed("The body is empty.")
            digest = storing.upload_content(POLICY, staging, token_id=auth.token_id())
    return _stored(digest)


@blueprint.get("/")
@described(described_as.DOWNLOAD)
def download() -> AnyResponse:
    """Send content by its hash; without one, redirect to the page."""
    digest = asked_hash(request)
    if digest is None:
        return redirect(url_for("named.page"))
    return delivery.send(*downloads.open_download(POLICY, digest))


@blueprint.delete("/")
@described(described_as.DELETE)
@needs("delete")
def delete() -> Response:
    """Delete content by its hash."""
    digest = asked_hash(request)
    if digest is None:
        raise Malformed("The parameter file_hash is missing.")
    files.remove(POLICY, digest)
    return Response("", content_type="text/plain; charset=utf-8")
