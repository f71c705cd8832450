"""The page at /share, where people make one-time links of the surface `vimeo`; it has no document.

    GET   /share        the page: files, their password, lifetime, number of downloads
    POST  /share        its form, for browsers without a script: stores them → 201, a page with the link
    POST  /share/link   `manage`, the key of a manage URL → the same page, for the script of the page

The script sends one file to /uploads/vimeo, so that an interrupted upload can resume. Several go to the surface itself
in a form, and become a zip. The page of a link has its QR code and its manage URL, and is shown once:
only the browser that has just uploaded the file knows the manage key.
"""

from http import HTTPStatus
from typing import Any

import segno
from flask import Blueprint, Response, url_for
from jinja2.filters import do_filesizeformat

from vimeo_api.core import policy
from vimeo_api.core.errors import Malformed, NotFound
from vimeo_api.core.files import archives, storing
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.files.slots import MOST
from vimeo_api.core.files.storing import Uploaded
from vimeo_api.extensions import settings
from vimeo_api.services import manage_links, receipts
from vimeo_api.views.descriptions import share as described_as
from vimeo_api.web import manage_links as manage_urls
from vimeo_api.web import pages
from vimeo_api.web.hooks import auth
from vimeo_api.web.hooks.auth import needs
from vimeo_api.web.openapi import described
from vimeo_api.web.problems import Problem
from vimeo_api.web.receiving import receive
from vimeo_api.web.surface import Surface

POLICY = policy.VIMEO
FIELDS = frozenset({"password", "expires_in", "downloads", "notify"})
LIFETIMES = {"1h": "an hour", "1d": "a day", "7d": "a week", "30d": "30 days"}
MAX_FORM_BYTES = 16 * 1024
VIMEO = {"surface": POLICY.surface}  # whose tokens and rates count: `auth` and `rate_limits` read it
CONTENT_SECURITY_POLICY = f"{pages.PLAIN_POLICY}; script-src 'self'; connect-src 'self'"

blueprint = Blueprint("share", __name__)


def render(problem: Problem) -> Response:
    """Show a problem as a page."""
    reason = problem.reason or problem.phrase
    if problem.status == HTTPStatus.NOT_FOUND:
        return pages.error(problem.status, pages.NOWHERE)
    if problem.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and POLICY.max_bytes is not None:
        reason = f"The file is larger than {do_filesizeformat(POLICY.max_bytes, binary=True)}."
    return pages.error(problem.status, reason, again=url_for("share.page"))


surface = Surface("share", frozenset({"share"}), blueprint, render, remembers=False)


@blueprint.get("/share", defaults=VIMEO)
@described(described_as.PAGE)
@needs("write", again=True)
def page(surface: str) -> Response:
    """Show the form that makes a one-time link."""
    longest = POLICY.settings.expires_seconds
    lifetimes = {value: words for value, words in LIFETIMES.items() if _fits(value, longest)}
    return pages.page(
        "share.html",
        CONTENT_SECURITY_POLICY,
        surface=surface,
        max_bytes=POLICY.max_bytes,
        lifetimes=lifetimes,
        longest=longest,
        most=MOST,
        notifies=settings.notify_urls,
    )


@blueprint.post("/share", defaults=VIMEO)
@described(described_as.UPLOAD_FORM)
@needs("write")
def upload_form(surface: str) -> Response:
    """Store the file of the form, or several as one zip, and show its link."""
    del surface
    with receive.form(POLICY.max_bytes, fields=FIELDS) as form:
        receive.check_options((), ())  # only the form has them
        fields = {name: value for name, value in form.fields.items() if value}  # a browser sends empty ones, too
        options: dict[str, Any] = {
            "password": fields.get("password"),
            "expires_in": receive.expires_in(fields.get("expires_in")),
            "downloads": receive.downloads(fields.get("downloads")),
            "notify_url": receipts.checked(fields.get("notify")),
        }
        with archives.as_one(POLICY, form.named()) as (name, staging):
            new = storing.upload(POLICY, staging, name=name, token_id=auth.token_id(), **options)
    response = _link_page(new, new.manage_key, protected="password" in fields)
    response.status_code = HTTPStatus.CREATED
    return response


@blueprint.post("/share/link")
@described(described_as.LINK)
def link() -> Response:
    """Show the link of a new file to the holder of its manage key."""
    manage_key = receive.urlencoded(MAX_FORM_BYTES).get("manage")
    if manage_key is None:
        raise Malformed("manage is missing.")
    entry = manage_links.find(manage_key).entry
    if entry.surface != POLICY.surface:
        raise NotFound("There is no one-time file with this manage URL.")
    protected = entry.password_hash is not None
    return _link_page(entry, manage_key, protected=protected)


def _link_page(file: Entry | Uploaded, manage_key: str | None, *, protected: bool) -> Response:
    address = url_for("vimeo.download", key=file.key, _external=True)
    response = pages.page(
        "shared.html",
        CONTENT_SECURITY_POLICY,
        link=address,
        code=segno.make(address, micro=False).svg_inline(omitsize=True, light="#fff", svgclass="qr", lineclass=None),
        manage_url=manage_urls.url(manage_key),
        file=file,
        protected=protected,
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _fits(lifetime: str, longest: int | None) -> bool:
    return longest is None or (receive.expires_in(lifetime) or 0) <= longest
