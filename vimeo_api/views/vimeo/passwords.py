"""The passwords that a request to the surface `vimeo` brings; `views.vimeo` and its other modules ask for them."""

from flask import Request, request

from vimeo_api.core.errors import Malformed
from vimeo_api.web.hooks import auth
from vimeo_api.web.receiving import receive

_HEADERS = frozenset({"HTTP_AUTHORIZATION", "HTTP_X_FILE_PASSWORD"})  # in the WSGI environment


def _header(text: str) -> str:
    """Return what a client meant by a header: UTF-8, or else Latin-1, as WSGI reads and `requests` writes it.

    Replacing what is not UTF-8 would make passwords equal that differ.
    """
    try:
        return text.encode("latin-1").decode()
    except UnicodeDecodeError:
        return text


def _all(request: Request) -> list[str]:
    """Return the passwords a client sends: as a header, in the query, and by Basic with any user name.

    API tokens are left out: a browser that was asked for one adds it to every request, by Basic.
    """
    found = request.args.getlist("password")
    if (header := request.headers.get(receive.PASSWORD_HEADER)) is not None:
        found.insert(0, _header(header))
    basic = request.authorization
    if basic is not None and basic.type == "basic" and not auth.is_token(basic.password or ""):
        found.append(basic.password or "")
    return found


def sent(request: Request) -> str | None:
    """Return the password for a download: the first that is not empty, else "" if one was sent."""
    if _HEADERS.isdisjoint(request.environ) and not request.query_string:
        return None  # most downloads, of which looking closer takes a twentieth
    found = _all(request)
    return next(filter(None, found), "") if found else None


def new(field: str | None) -> str | None:
    """Return the password that is to protect the uploaded file, whichever way it was sent.

    Raises Malformed for one that is unclear: a file must not be left open because its password was not understood.
    """
    if auth.is_basic() and request.authorization is None:
        raise Malformed("The password in Authorization cannot be read.")
    given = set(_all(request)) | ({field} if field is not None else set())
    if "" in given:
        raise Malformed("The password is empty.")
    if len(given) > 1:
        raise Malformed("The request has several passwords that differ.")
    return given.pop() if given else None
