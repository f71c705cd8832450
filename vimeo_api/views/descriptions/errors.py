"""The errors that surfaces share; each surface adds its own format, and words what differs."""

from collections.abc import Callable

from vimeo_api.web.openapi import HTML, JSON, STRING, Body, Response, closed

EVERYWHERE = frozenset({400, 405, 414, 421, 503})  # what any operation may answer
ALLOW = {"Allow": "The methods of the path."}
RETRY_AFTER = {"Retry-After": "Seconds after which to try again."}
BEYOND = "The range begins after the last byte; `Content-Range` has the size."
NO_TOKEN = "The API token that the operator requires is missing, unknown, revoked or expired."  # noqa: S105 -- a sentence
NO_SCOPE = "The API token does not allow this, its quota is used up, or a page of another site sent the request."
TOO_OFTEN = "Too many uploads or wrong passwords in a short time."
BEARER = {"WWW-Authenticate": '`Bearer realm="vimeo_api"`'}
RANGE = {"Content-Range": "`bytes */18`: the size of the file."}
PAGE = Body(STRING, "<!doctype html>…")


def in_json(description: str, text: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error as `{"error": text}`."""
    return Response(description, {JSON: Body(closed("Error", error=STRING), {"error": text})}, headers or {})


def with_message(description: str, text: str, headers: dict[str, str] | None = None, *, message: str = "") -> Response:
    """Return an error as `{"error": text, "message": …}`, or as a page for a browser."""
    example = {"error": text, "message": message or description}
    content = {JSON: Body(closed("Refusal", error=STRING, message=STRING), example), HTML: PAGE}
    return Response(description, content, headers or {})


def common(error: Callable[..., Response]) -> dict[int, Response]:
    """Return the errors that all surfaces answer for the same reasons; `error` formats one, as `in_json` does."""
    return {
        401: error(NO_TOKEN, "This needs an API token, as `Authorization: Bearer …`.", BEARER),
        403: error(NO_SCOPE, "The quota of this token has 0 bytes left."),
        405: error("The path does not have this method.", "The method is not allowed for the requested URL.", ALLOW),
        412: error("`If-Match` names another version.", "Precondition Failed"),
        414: error("The address is too long.", "Request-URI Too Long"),
        416: error(BEYOND, "Requested Range Not Satisfiable", RANGE),
        421: error("`HOSTS` does not name the host of the URL.", "Misdirected Request"),
        429: error(TOO_OFTEN, "Too many attempts; try again later.", RETRY_AFTER),
        503: error("The service or its database is unavailable for a moment.", "Service Unavailable", RETRY_AFTER),
        507: error("The disk is full; nothing was stored.", "Insufficient Storage"),
    }
