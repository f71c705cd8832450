"""The surface `transfer`: files by sealed ids.

    POST        /uploadFile             a form with `file`, or {"file": "<url>"} → {"file_id": "<hash>:<file_name>"}
    GET DELETE  /uploadFile/<file_id>   the progress of a fetch; cancels it
    POST GET    /downloadFile           `file_id` as JSON, as a form or in the query → the file, any number of times
    DELETE      /downloadFile           `file_id` in the same ways → {"file_id": …, "status": "deleted"}

The access hash is a random unsigned 64-bit number; the file name is encrypted and bound to it, and both must match in a
download. A URL is fetched by a worker: if that ends within FETCH_WAIT_SECONDS the response is that of an upload, else
202 with `status_url`. `Prefer: respond-async` (RFC 7240) does not wait. `sha256` beside `file` is checked.
URLs are accepted as JSON only: a browser asks us before it sends JSON to another site (CORS), but any site could submit
a form with a URL from a visitor's browser.
Its document has no DELETE. Ours needs a token with `transfer:delete`; where no tokens are required everyone who was
given an id to download could delete the file, so there it is 403 unless TRANSFER_OPEN_DELETE allows it. A running fetch
is cancelled. Uploads have a header X-Manage-Url, by which the uploader can delete the file, too.
"""

from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, jsonify, request, url_for

from vimeo_api.core import policy
from vimeo_api.core.access import sealed_ids
from vimeo_api.core.errors import Malformed, NotFound
from vimeo_api.core.files import storing
from vimeo_api.core.files.storing import Uploaded
from vimeo_api.extensions import settings
from vimeo_api.services import downloads, fetches, files
from vimeo_api.views.descriptions import transfer as described_as
from vimeo_api.web import clients, manage_links
from vimeo_api.web.hooks import auth, rate_limits
from vimeo_api.web.hooks.auth import needs
from vimeo_api.web.openapi import described
from vimeo_api.web.problems import Problem
from vimeo_api.web.receiving import receive
from vimeo_api.web.sending import delivery
from vimeo_api.web.surface import FORM, Resumable, Surface

POLICY = policy.TRANSFER
MAX_QUESTION_BYTES = 64 * 1024  # of a JSON body or an urlencoded form

blueprint = Blueprint("transfer", __name__)


def render(problem: Problem) -> Response:
    """Word a problem as `{"error": …}`."""
    return jsonify(problem.details | {"error": problem.reason or problem.phrase})


def _stored(new: Uploaded) -> Response:
    return _accepted(new.manage_key, file_id=sealed_ids.seal(new.key, new.name))


surface = Surface(
    "transfer",
    frozenset({"uploadFile", "downloadFile"}),
    blueprint,
    render,
    resumable=Resumable(POLICY, _stored, {"transfer.upload": FORM | {"application/json"}}),
    makes_keys=POLICY.makes_keys,
)


@blueprint.post("/uploadFile")
@described(described_as.UPLOAD)
@needs("write")
def upload() -> Response:
    """Store a file and return its sealed id."""
    if request.mimetype == "application/json":
        return _fetched(receive.json_object(MAX_QUESTION_BYTES))
    with receive.form(POLICY.max_bytes, fields={"expires_in"}) as form:
        file = form.file("file")
        name = storing.check_name(POLICY, file.name)
        expires_in = receive.lifetime(form.fields.get("expires_in"))
        new = storing.upload(POLICY, file.staging, name=name, expires_in=expires_in, token_id=auth.token_id())
    return _stored(new)


@blueprint.route("/downloadFile", methods=["GET", "POST"])
@described(described_as.DOWNLOAD, post=described_as.DOWNLOAD_BY_POST)
def download() -> Response:
    """Send the file of a sealed id."""
    return delivery.send(*downloads.open_download(POLICY, _number(_file_id())))


@blueprint.delete("/downloadFile")
@described(described_as.DELETE)
@needs("delete")
def delete() -> Response:
    """Delete the file of a sealed id."""
    auth.check_open_delete(openly=settings.transfer.open_delete)
    file_id = _file_id()
    files.remove(POLICY, _number(file_id))
    return jsonify(file_id=file_id, status="deleted")


@blueprint.get("/uploadFile/<file_id>")
@described(described_as.STATUS)
def status(file_id: str) -> Response:
    """Report the progress of a fetch."""
    return jsonify(file_id=file_id, **fetches.status(POLICY, _number(file_id)))


@blueprint.delete("/uploadFile/<file_id>")
@described(described_as.CANCEL)
@needs("delete")
def cancel(file_id: str) -> Response:
    """Cancel a fetch."""
    return jsonify(file_id=file_id, **fetches.cancel(POLICY, _number(file_id)))


def _wants_async() -> bool:
    """Return whether the client asks for an answer without waiting."""
    preferences = request.headers.get("Prefer", "").split(",")
    return any(one.split(";")[0].split("=")[0].strip().lower() == "respond-async" for one in preferences)


def _fetched(wanted: dict[str, Any]) -> Response:
    """Start the fetch of a URL, and wait a little for it."""
    sha256 = wanted.get("sha256")
    if sha256 is not None and not isinstance(sha256, str):
        raise Malformed("sha256 must be a string.")
    receive.check_options(wanted, {"expires_in"})
    expires_in = receive.lifetime(wanted.get("expires_in"))
    url = _text(wanted, "file")
    rate_limits.allow_fetch()
    begun = fetches.begin(
        POLICY, url, client=clients.client(), sha256=sha256, expires_in=expires_in, token_id=auth.token_id()
    )
    file_id = sealed_ids.seal(begun.key, begun.name)
    if not _wants_async() and fetches.wait(POLICY, begun.key):
        downloads.open_download(POLICY, begun.key, with_body=False)  # raises the error of a failed fetch
        return _accepted(begun.manage_key, file_id=file_id)
    link = url_for("transfer.status", file_id=file_id, _external=True)
    response = _accepted(begun.manage_key, file_id=file_id, status_url=link)
    response.status_code = HTTPStatus.ACCEPTED
    response.headers["Location"] = link
    return response


def _accepted(manage_key: str | None, **values: str) -> Response:
    response = jsonify(values)
    response.headers[manage_links.HEADER] = manage_links.url(manage_key)
    return response


def _number(file_id: str) -> str:
    """Return the access hash of a sealed id. Raises NotFound for an id that we did not seal."""
    opened = sealed_ids.open_sealed(file_id)
    if opened is None:
        raise NotFound("There is no file with this id.")
    return opened[0]


def _file_id() -> str:
    if request.method in {"GET", "HEAD"} or (request.method == "DELETE" and "file_id" in request.args):
        file_id = request.args.get("file_id")
    elif receive.is_form():
        file_id = receive.fields({"file_id"}).get("file_id")
    elif request.mimetype == "application/x-www-form-urlencoded":
        file_id = receive.urlencoded(MAX_QUESTION_BYTES).get("file_id")
    else:
        file_id = _text(receive.json_object(MAX_QUESTION_BYTES), "file_id")
    if not file_id:
        raise Malformed("file_id is missing.")
    return file_id


def _text(value: dict[str, Any], name: str) -> str:
    if not isinstance(value.get(name), str) or not value[name]:
        raise Malformed(f'The body must be {{"{name}": "…"}}.')
    return str(value[name])
