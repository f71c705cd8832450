"""How the surface `vimeo` words its errors: as JSON, and in a browser as pages."""

from http import HTTPStatus

from flask import Response, jsonify, request, url_for

from vimeo_api.views.vimeo import browsers, passwords
from vimeo_api.web import pages
from vimeo_api.web.problems import Problem

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
# For requests that are refused before there is a reason: `embedded.framing`, as nginx.
_OTHERWISE = {
    HTTPStatus.BAD_REQUEST: "The request cannot be understood.",
    HTTPStatus.NOT_IMPLEMENTED: "The request asks for something that the service does not know.",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "The service does not know this version of HTTP.",
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
    message = preview or _SENTENCES.get(status) or problem.reason or _OTHERWISE.get(status) or f"{problem.phrase}."
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
        response = browsers.link_page(key, None, wrong=request.method == "POST" or passwords.sent(request) is not None)
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
