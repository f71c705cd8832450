"""What the surface `vimeo` shows in a browser: the page of a link, and the download that its button begins.

`views.vimeo` has the routes, `errors` shows the page of a link when a password is missing.
"""

from datetime import datetime
from http import HTTPStatus

from flask import Response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.policy import VIMEO
from vimeo_api.services import downloads, granted_downloads
from vimeo_api.services.granted_downloads import Progress
from vimeo_api.views.descriptions import vimeo as described_as
from vimeo_api.views.vimeo import passwords
from vimeo_api.web import pages, previews
from vimeo_api.web.openapi import described
from vimeo_api.web.receiving import receive
from vimeo_api.web.sending import delivery

LOOK_AGAIN_SECONDS = 4  # after which the page of a download looks how far it is
MAX_PASSWORD_FORM = 16 * 1024  # bytes; a password of MAX_PASSWORD_BYTES, percent-encoded, is shorter
CONTENT_SECURITY_POLICY = f"{pages.PLAIN_POLICY}; frame-src 'self'"  # a hidden frame starts the download


def wants_page() -> bool:
    """Return whether a GET of a link is a browser's navigation or a known maker of previews."""
    return request.method == "GET" and (pages.names_html() or previews.is_agent(request))


def link(key: str) -> Response:
    """Return the page of a link, which uses nothing up. A protected file is not shown without its password."""
    entry, opened = granted_downloads.look(VIMEO, key, password=passwords.sent(request))
    shown = entry if opened else None
    return link_page(key, shown, left=downloads.left(entry), expires_at=entry.expires_at)


@described(described_as.BEGIN)
def begin(key: str) -> AnyResponse:
    """Redirect a browser to its own address of the download."""
    password = receive.urlencoded(MAX_PASSWORD_FORM).get("password") or passwords.sent(request)
    grant = granted_downloads.grant(VIMEO, key, password=password)
    response = redirect(url_for("vimeo.granted", key=key, grant=grant), HTTPStatus.SEE_OTHER)
    response.headers["Cache-Control"] = "no-store"
    return response


@described(described_as.GRANTED)
def granted(key: str, grant: str) -> Response:
    """Show how far a browser's download is, and start it."""
    file = granted_downloads.look_granted(VIMEO, key, grant)
    state = {"progress": file.progress, "done_at": file.done_at}
    response = _page("granted.html", file=file.entry, key=key, grant=grant, **state)
    if file.progress in {Progress.READY, Progress.RUNNING}:
        response.headers["Refresh"] = str(LOOK_AGAIN_SECONDS)
    return response


@described(described_as.GRANTED_FILE)
def granted_file(key: str, grant: str) -> Response:
    """Send a file to the browser that holds the grant, from where it asks for it."""
    if request.method == "GET":
        previews.check(request)
    opened = granted_downloads.open_granted(
        VIMEO, key, grant, with_body=request.method == "GET", span_of=delivery.span_of()
    )
    return delivery.send(*opened, one_time=True)


def link_page(
    key: str,
    entry: Entry | None,
    *,
    left: int | None = None,
    expires_at: datetime | None = None,
    wrong: bool = False,
) -> Response:
    """Return the page of a link; without the file it asks for the password."""
    password = passwords.sent(request) if entry else None
    return _page("link.html", file=entry, key=key, left=left, expires_at=expires_at, wrong=wrong, password=password)


def _page(template: str, **values: object) -> Response:
    response = pages.page(template, CONTENT_SECURITY_POLICY, **values)
    response.headers["Cache-Control"] = "no-store"
    response.vary.update({"Accept", "User-Agent"})
    return response
