"""The surface `uploads`: resumable uploads to the other surfaces, by tus 1.0.0 and the IETF's draft of the same.

    OPTIONS            /uploads/<surface>          versions, extensions and limits
    POST               /uploads/<surface>          begins an upload, with or without its first bytes → 201, its Location
    HEAD               /uploads/<surface>/<key>    how many bytes are durable
    PATCH              /uploads/<surface>/<key>    appends the body at `Upload-Offset`
    GET                /uploads/<surface>/<key>    the same; once the upload is finished, what the surface answered
    DELETE             /uploads/<surface>/<key>    ends the upload
    POST, PUT          a surface's own path        with `Upload-Complete: ?0`, begins an upload, too (at_surfaces)
    POST               /uploads/<surface>/<key>    any of these but OPTIONS, named in `X-HTTP-Method-Override`

Once the last byte is durable, the upload becomes a file of its surface, under the same rules as any other. What that
surface answers to an upload is the body of GET, of the last PATCH in the draft, and `Upload-Result` (percent-encoded)
in tus, whose responses have no body; its header `X-Manage-Url` comes with any of them. The name and the fields of the
file come in `Upload-Metadata` (tus), or in `Content-Disposition` and the query (draft).

Departures: a header that comes twice with two values is refused (400), lists like `Upload-Metadata` too, for behind
nginx the service would see only one of them. `X-HTTP-Method-Override` counts for POST alone, so that no link or form
can do what only a script may. `password` and `notify` in `Upload-Metadata` are not repeated by HEAD. Partial uploads
are removed once they are joined; a request that joins them again gets the upload that the first one made, whatever its
metadata. Workers join what is large: the client waits for the answer a while, then gets 201 without `Upload-Offset` and
`Upload-Result`. HEAD and GET of that upload have them once the file is stored, or tell why it could not be. Parts that
lie on different hosts cannot be joined: 400 (docs/fleet.md). There are no 104 responses and no trailers.
`Want-Repr-Digest` is not answered: the digest of a large file is computed after the upload, and GET of the file has it.
In production, if a client continues an upload over a new connection, the old one is not closed; HEAD waits for it a
while, and its bytes are dropped once a later request has the claim.
"""

from http import HTTPStatus

from flask import Blueprint, Response, current_app, g, jsonify, request
from werkzeug.exceptions import MethodNotAllowed

from vimeo_api.core import hosts
from vimeo_api.core.errors import Elsewhere, NotFound
from vimeo_api.core.resumable import expiry
from vimeo_api.core.resumable.rows import Upload
from vimeo_api.services import resumable
from vimeo_api.views.descriptions import uploads as described_as
from vimeo_api.views.uploads import by_draft, by_tus, steps
from vimeo_api.web.hooks import auth
from vimeo_api.web.hooks.auth import needs
from vimeo_api.web.openapi import described
from vimeo_api.web.problems import Problem
from vimeo_api.web.resumable import draft, running, tus
from vimeo_api.web.surface import Resumable, Surface

blueprint = Blueprint("uploads", __name__)


def render(problem: Problem) -> Response:
    """Word a problem as `{"error": …}`, or as the draft's problem type (RFC 9457)."""
    if kind := problem.details.get("type"):
        details = problem.details | {"type": f"{draft.PROBLEMS}{kind}", "title": problem.reason}
        if "expected-offset" in details:
            details["provided-offset"] = draft.number("Upload-Offset")
        response = jsonify(details)
        response.mimetype = "application/problem+json"
    else:
        response = jsonify(error=problem.reason or problem.phrase)
    response.headers["Tus-Resumable"] = tus.VERSION  # here, too, for paths and methods that no view has
    if steps.is_admission():
        response.headers["X-Refusal"] = " ".join(response.get_data(as_text=True).split())  # nginx sends it on
    return response


surface = Surface("uploads", frozenset({"uploads"}), blueprint, render, remembers=False)


@blueprint.before_request
def refuse_other_versions() -> None:
    """Refuse a client that speaks another version of tus or of the draft, before anything is done for it."""
    if request.method != "OPTIONS" and "Tus-Resumable" in request.headers:
        tus.check_version()
    elif draft.is_meant():
        draft.check_version()


@blueprint.before_request
def refuse_other_surfaces() -> None:
    """Have OPTIONS, too, say that there is no such surface."""
    if request.method == "OPTIONS":
        _dialect((request.view_args or {}).get("surface", ""))


@blueprint.after_request
def speak(response: Response) -> Response:
    """Add the headers that the two protocols want in every response."""
    response.headers["Cache-Control"] = "no-store"
    if request.method == "OPTIONS" and response.status_code < HTTPStatus.BAD_REQUEST:
        response.headers.update(_offer())
        return response
    response.headers["Tus-Resumable"] = tus.VERSION
    if draft.is_meant():
        response.headers.setdefault("Upload-Complete", draft.boolean(g.get("processed", False)))
        if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            response.headers["Upload-Limit"] = draft.limits(_max_size())
        if draft.VERSION_HEADER in request.headers:
            response.headers[draft.VERSION_HEADER] = draft.spoken()
    return response


@blueprint.errorhandler(Elsewhere)
def pass_on(error: Elsewhere) -> Response:
    """Have nginx pass the request on to the host that has the upload."""
    response = Response(status=HTTPStatus.MISDIRECTED_REQUEST if steps.is_admission() else HTTPStatus.NO_CONTENT)
    response.headers.update({"X-Spool-Address": error.address, "X-Spool-Key": hosts.key()})
    if not steps.is_admission():
        response.headers["X-Accel-Redirect"] = "@upload_elsewhere"
    return response


@blueprint.post("/uploads/<surface>")
@described(described_as.CREATE)
@needs("write")
def create(surface: str) -> Response:
    """Begin a resumable upload."""
    if request.headers.get("X-HTTP-Method-Override", "POST").upper() != "POST":
        raise MethodNotAllowed(["OPTIONS", "POST"])
    dialect = _dialect(surface)
    return by_draft.create(dialect) if draft.is_meant() else by_tus.create(dialect)


@blueprint.patch("/uploads/<surface>/<key>")
@described(described_as.APPEND)
@needs("write", again=True)
def append(surface: str, key: str) -> Response:
    """Append bytes to a resumable upload."""
    dialect = _dialect(surface)
    upload = _find(dialect, key)
    return by_draft.append(dialect, upload) if draft.is_meant() else by_tus.append(dialect, upload)


@blueprint.get("/uploads/<surface>/<key>")
@described(described_as.STATE)
@needs("write", again=True)
def state(surface: str, key: str) -> Response:
    """Report how many bytes of a resumable upload are durable."""
    dialect = _dialect(surface)
    running.end(key)
    upload = steps.finished(dialect, resumable.checked(resumable.settled(_find(dialect, key))))
    answered = upload.is_finished and (request.method == "GET" or _overridden() == "GET")
    response = steps.answer(upload) if answered else Response(status=HTTPStatus.NO_CONTENT)
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
    """Append to a resumable upload, look at it or end it, for clients that can only send POST."""
    views = {"DELETE": end, "GET": state, "HEAD": state, "PATCH": append}
    if (view := views.get(_overridden())) is None:
        raise MethodNotAllowed(["DELETE", "GET", "PATCH"])
    if steps.is_admission() and view is not append:
        return Response(status=HTTPStatus.NO_CONTENT)
    return view(surface, key)


def _overridden() -> str:
    return request.headers.get("X-HTTP-Method-Override", "").upper()


def _state(dialect: Resumable, upload: Upload) -> dict[str, str]:
    """Return the state of an upload in both protocols, which share what they can."""
    headers = {**by_tus.headers(upload), "Upload-Complete": draft.boolean(upload.is_finished)}
    headers["Upload-Limit"] = steps.limits(dialect, upload)
    if upload.length is None:
        headers["Upload-Defer-Length"] = "1"
    else:
        headers["Upload-Length"] = str(upload.length)
    return headers | {
        name: value
        for name, value in (("Upload-Metadata", upload.described), ("Upload-Concat", upload.concat))
        if value
    }


def _offer() -> dict[str, str]:
    """Return what OPTIONS says: what we speak, and the limits of the surface."""
    most = _max_size()
    return {
        "Tus-Version": tus.VERSION,
        "Tus-Extension": tus.EXTENSIONS,
        "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
        "Upload-Limit": draft.limits(most),
        **({} if most is None else {"Tus-Max-Size": str(most)}),
    }


def _max_size() -> int | None:
    dialect = _dialects().get((request.view_args or {}).get("surface", ""))
    return dialect.policy.max_bytes if dialect else None


def _find(dialect: Resumable, key: str) -> Upload:
    """Return an upload. Raises NotFound; Elsewhere if another host has its bytes, Unavailable if that is not known."""
    upload = resumable.find(dialect.policy, key, token_id=auth.token_id())
    if not upload.is_answered and not hosts.is_here(upload.host):
        raise Elsewhere(hosts.address(upload.host))
    return upload


def _dialects() -> dict[str, Resumable]:
    found: dict[str, Resumable] = current_app.extensions["resumable"]
    return found


def _dialect(name: str) -> Resumable:
    if (dialect := _dialects().get(name)) is None:
        raise NotFound("There is no such surface for uploads.")
    return dialect
