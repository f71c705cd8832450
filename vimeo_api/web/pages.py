"""HTML pages with the headers that all of them share; `views` sends them."""

from http import HTTPStatus

from flask import Response, make_response, render_template, request

from vimeo_api.extensions import settings

PLAIN_POLICY = (  # of a page without a script
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
NOWHERE = "This address leads nowhere. It may be mistyped or out of date."
HEADINGS: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "This request cannot be understood",
    HTTPStatus.UNAUTHORIZED: "This needs an API token",
    HTTPStatus.FORBIDDEN: "This is not allowed",
    HTTPStatus.NOT_FOUND: "There is no such page",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address cannot be used like that",
    HTTPStatus.GONE: "This file is gone",
    HTTPStatus.LOCKED: "This file is in use",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "This file is too large",
    HTTPStatus.MISDIRECTED_REQUEST: "There is no such site here",
    HTTPStatus.TOO_MANY_REQUESTS: "That was too often",
    HTTPStatus.SERVICE_UNAVAILABLE: "The service is away for a moment",
    HTTPStatus.INSUFFICIENT_STORAGE: "There is no room left",
}


def wants_json(*, default: bool) -> bool:
    """Return whether the client prefers JSON to HTML; `default` decides if it has no preference."""
    html, json = request.accept_mimetypes["text/html"], request.accept_mimetypes["application/json"]
    return default if html == json else json > html


def names_html() -> bool:
    """Return whether the request asks for HTML by name, as a browser's navigation does; curl and such ask for all."""
    if "text/html" not in request.headers.get("Accept", "").lower():
        return False  # sooner than by parsing it
    return any(name == "text/html" and quality > 0 for name, quality in request.accept_mimetypes)


def page(template: str, content_security_policy: str, **values: object) -> Response:
    """Render a template as a page with this policy, which sends no Referer to others and is revalidated each time."""
    response = make_response(render_template(template, site=settings.site_name, **values))
    response.headers["Content-Security-Policy"] = content_security_policy
    response.headers["X-Content-Type-Options"] = "nosniff"
    # With `no-referrer` a browser would send `Origin: null` from the page's own form, which `csrf` refuses.
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-cache"
    return response


def error(status: int, reason: str, *, heading: str = "", again: str | None = "") -> Response:
    """Return the page of an error, named for what happened; the caller sets its status.

    Its button leads back to the list of files, or to the address `again`; with None there is no button.
    """
    heading = heading or HEADINGS.get(status, HTTPStatus(status).phrase)
    return page("error.html", PLAIN_POLICY, heading=heading, reason=reason, status=status, again=again)
