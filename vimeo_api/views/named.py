"""The surface `named`: files by their names, with a page.

    GET     /upload            the page: lists the files, and uploads more
    POST    /upload            multipart, one file or several → 302 /download; else the page "Upload file error"
    POST    /upload/<name>     the raw body, whatever its type → 201 `<name> uploaded`
    GET     /download          [{"filename": …, "url": …}], sorted; with ?limit=&after= a page, and a Link to the next
    GET     /download/<name>   the file, as an attachment
    DELETE  /download/<name>   200 {"status": "<name> deleted"}
    GET POST  /download/<name>/delete   the page that asks whether to delete; deletes, and 303 /upload

Departures from its document: a browser that asks for HTML is redirected from /download to the page; clients that ask
for JSON get errors and confirmations as JSON; more extensions are allowed by default. Folders and control characters
are removed from a client's file name, and every spelling in Unicode is stored as one (`core.files.file_names`).
Its document has no DELETE. Ours needs a token with `named:delete`; where no tokens are required anyone could delete
everything, so there it is 403 unless NAMED_OPEN_DELETE allows it. Uploads have a header X-Manage-Url for each file, in
their order: by it the uploader can delete the file, too.
"""

import json
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from itertools import chain

from flask import Blueprint, Request, Response, jsonify, redirect, request, stream_with_context, url_for
from jinja2.filters import do_filesizeformat
from werkzeug.wrappers import Response as AnyResponse

from vimeo_api.core import policy
from vimeo_api.core.files import file_names, lists, storing, types_by_name
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.files.storing import Uploaded
from vimeo_api.extensions import settings
from vimeo_api.services import downloads, files
from vimeo_api.views.descriptions import named as described_as
from vimeo_api.web import manage_links, pages
from vimeo_api.web.hooks import auth
from vimeo_api.web.hooks.auth import needs
from vimeo_api.web.openapi import described
from vimeo_api.web.problems import Problem
from vimeo_api.web.receiving import receive
from vimeo_api.web.sending import delivery
from vimeo_api.web.surface import RAW, Resumable, Surface

POLICY = policy.NAMED
PAGE_SIZE = 50  # files
NEWEST = "newest"
SORTS = {NEWEST: "Newest", "oldest": "Oldest", "name": "Name", "largest": "Largest", "smallest": "Smallest"}
MAX_LISTED = 1000  # names in a page of the list, and that are in memory at once

NO_FILE = "It may have been deleted, or its name may be mistyped."

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

blueprint = Blueprint("named", __name__, template_folder="../templates")


def render(problem: Problem) -> Response:
    """Word a problem as a page, or as `{"error": …}` for a client that asks for JSON."""
    reason = problem.reason or _too_large(problem) or problem.phrase
    if pages.wants_json(default=not request.path.startswith("/upload")):
        return jsonify(error=reason)
    if request.method == "POST" and request.path.startswith("/upload"):
        return pages.error(problem.status, reason, heading="Upload file error")
    if problem.status == HTTPStatus.NOT_FOUND:
        is_file = bool(asked_name(request))
        heading = "There is no file of this name" if is_file else ""
        return pages.error(problem.status, NO_FILE if is_file else pages.NOWHERE, heading=heading)
    return pages.error(problem.status, reason)


def asked_name(req: Request) -> str:
    """Return the name that a request asks for, in its stored form; "" for a request without one."""
    key = (req.view_args or {}).get("key")
    return "" if key is None else file_names.safe(key)


def _stored(new: Uploaded) -> Response:
    said = f"{new.name} uploaded"
    if pages.wants_json(default=False):
        response = jsonify(status=said)
    else:
        response = Response(said, content_type="text/plain; charset=utf-8")
    response.status_code = HTTPStatus.CREATED
    response.headers[manage_links.HEADER] = manage_links.url(new.manage_key)
    return response


surface = Surface(
    "named",
    frozenset({"upload", "download"}),
    blueprint,
    render,
    resumable=Resumable(POLICY, _stored, {"named.upload_raw": RAW}),
    key_of=asked_name,
)


@blueprint.get("/upload")
@described(described_as.PAGE)
@needs("list")
def page() -> Response:
    """Show the files, newest first, and the upload form."""
    query, sort = request.args.get("q", "").strip(), request.args.get("sort", "")
    sort = sort if sort in lists.SORTS else NEWEST
    number = request.args.get("page", 1, type=int)
    found = files.page(POLICY, query=query, sort=sort, number=number, size=PAGE_SIZE)
    return pages.page(
        "upload.html",
        CONTENT_SECURITY_POLICY,
        files=[_Shown(entry) for entry in found.files],
        query=query,
        sort=sort,
        sorts=SORTS,
        may_delete=auth.may_delete(POLICY.surface, openly=settings.named.open_delete),
        page=found.number,
        pages=found.pages,
        total=found.total,
        extensions=sorted(POLICY.extensions or ()),
        max_bytes=POLICY.max_bytes,
        fetch_urls=settings.fetch_urls,
    )


@blueprint.post("/upload")
@described(described_as.UPLOAD_FORM)
@needs("write")
def upload_form() -> AnyResponse:
    """Store the files of a form, all or none."""
    with receive.form(POLICY.max_bytes, fields={"expires_in"}) as form:
        expires_in = receive.lifetime(form.fields.get("expires_in"))
        files = [(file.name, file.staging) for file in form.files]
        new = storing.upload_all(POLICY, files, expires_in=expires_in, token_id=auth.token_id())
    response = redirect(url_for("named.listing"))
    for file in new:
        response.headers.add(manage_links.HEADER, manage_links.url(file.manage_key))
    return response


@blueprint.post("/upload/<key>")
@described(described_as.UPLOAD_RAW)
@needs("write")
def upload_raw(key: str) -> Response:
    """Store the raw body under a name."""
    name, expires_in = storing.check_name(POLICY, key), receive.lifetime()
    with receive.raw(POLICY.max_bytes, options={"expires_in"}) as staging:
        return _stored(storing.upload(POLICY, staging, name=name, expires_in=expires_in, token_id=auth.token_id()))


@blueprint.get("/download")
@described(described_as.LISTING)
@needs("list")
def listing() -> AnyResponse:
    """List the names and URLs of all files; `limit` and `after` ask for a page."""
    if not pages.wants_json(default=True):
        return redirect(url_for("named.page"))
    if request.args.keys() & {"limit", "after"}:
        return _listed_page()
    lists = files.all_names(POLICY, at_once=MAX_LISTED)
    first = next(lists)  # before the response begins, so that its errors have a status
    if len(first) < MAX_LISTED:
        return jsonify(_listed(first))
    return Response(stream_with_context(_array(chain([first], lists))), content_type="application/json")


def _listed_page() -> Response:
    """List one page, and link to the next (RFC 8288)."""
    limit = receive.number("limit", request.args.get("limit"), default=MAX_LISTED, most=MAX_LISTED)
    after = request.args.get("after", "")
    names, more = files.names(POLICY, after=file_names.safe(after) if after else "", limit=limit)
    response = jsonify(_listed(names))
    if more:
        # requests, for one, ends the address of a link at the first semicolon.
        link = url_for("named.listing", limit=limit, after=names[-1], _external=True).replace(";", "%3B")
        response.headers["Link"] = f'<{link}>; rel="next"'
    return response


def _listed(names: Iterable[str]) -> list[dict[str, str]]:
    return [{"filename": name, "url": url_for("named.download", key=name, _external=True)} for name in names]


def _array(lists: Iterable[list[str]]) -> Iterator[str]:
    """Yield a JSON array of all names, which may be too long for memory, in pieces."""
    before = "["
    for names in lists:
        if names:
            yield before + json.dumps(_listed(names))[1:-1]
            before = ","
    yield "]\n"


@blueprint.get("/download/<key>")
@described(described_as.DOWNLOAD)
def download(key: str) -> Response:
    """Send a file."""
    del key  # use the stored form instead
    return delivery.send(*downloads.open_download(POLICY, asked_name(request)))


@blueprint.delete("/download/<key>")
@described(described_as.DELETE)
@needs("delete")
def delete(key: str) -> Response:
    """Delete a file; its name is free again."""
    del key  # use the stored form instead
    auth.check_open_delete(openly=settings.named.open_delete)
    name = asked_name(request)
    files.remove(POLICY, name)
    return jsonify(status=f"{name} deleted")


@blueprint.get("/download/<key>/delete")
@described(described_as.DELETE_PAGE)
@needs("delete")
def delete_page(key: str) -> Response:
    """Ask whether to delete a file."""
    del key  # use the stored form instead
    auth.check_open_delete(openly=settings.named.open_delete)
    downloads.open_download(POLICY, asked_name(request), with_body=False)  # raises NotFound
    return pages.page("delete.html", CONTENT_SECURITY_POLICY, name=asked_name(request))


@blueprint.post("/download/<key>/delete")
@described(described_as.DELETE_FORM)
@needs("delete")
def delete_form(key: str) -> AnyResponse:
    """Delete a file for a browser without a script, and show the list again."""
    delete(key)
    return redirect(url_for("named.page"), HTTPStatus.SEE_OTHER)


class _Shown:
    """A file as the page shows it."""

    def __init__(self, entry: Entry) -> None:
        self.name = entry.name
        self.size = entry.size
        self.created_at = entry.created_at
        self.content_type = types_by_name.media_type(entry.name)
        self.url = url_for("named.download", key=entry.key)
        self.delete_url = url_for("named.delete_page", key=entry.key)


def _too_large(problem: Problem) -> str:
    """Return the sentence for a file over the limit, and "" for any other problem."""
    if problem.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE or POLICY.max_bytes is None:
        return ""
    return f"The file is larger than {do_filesizeformat(POLICY.max_bytes, binary=True)}."
