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
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request, url_for

from vimeo_api.core import policy
from vimeo_api.core.errors import Malformed
from vimeo_api.core.files import archives, storing
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.files.send_budget import Span
from vimeo_api.core.files.storing import Uploaded
from vimeo_api.services import downloads, receipts
from vimeo_api.views.descriptions import vimeo as described_as
from vimeo_api.views.vimeo import browsers, errors, passwords
from vimeo_api.web import manage_links, previews
from vimeo_api.web.hooks import auth
from vimeo_api.web.hooks.auth import needs
from vimeo_api.web.openapi import described
from vimeo_api.web.receiving import receive
from vimeo_api.web.sending import delivery
from vimeo_api.web.surface import FORM, Resumable, Surface

POLICY = policy.VIMEO
FIELDS = frozenset({"password", "expires_in", "downloads", "notify"})  # of the form
QUERY = frozenset({"password", "expires_in"})  # of an upload
STORED = "File Uploaded Successfully"

blueprint = Blueprint("vimeo", __name__, url_prefix="/vimeo/api/v1.0")


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
    errors.render,
    resumable=Resumable(POLICY, _stored, {"vimeo.upload": FORM}, password=passwords.new, notifies=True),
    makes_keys=POLICY.makes_keys,
    sends_password=lambda request: passwords.sent(request) is not None or request.endpoint == "vimeo.begin",
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
            "password": passwords.new(form.fields.get("password")),
            "expires_in": receive.lifetime(form.fields.get("expires_in")),
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
    if browsers.wants_page():
        return browsers.link(key)
    if request.method == "GET":
        previews.check(request)
    return delivery.send(
        *downloads.open_download(
            POLICY,
            key,
            password=passwords.sent(request),
            resume_token=request.headers.get(delivery.RESUME_HEADER),
            with_body=request.method == "GET",
            span_of=_span_of(),
        ),
        one_time=True,
    )


# Where the page of a link leads.
blueprint.add_url_rule("/file/<key>/download", view_func=browsers.begin, methods=["POST"])
blueprint.add_url_rule("/file/<key>/download/<grant>", view_func=browsers.granted)
blueprint.add_url_rule("/file/<key>/download/<grant>/file", view_func=browsers.granted_file)
