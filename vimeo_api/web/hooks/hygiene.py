"""Small rules for every path: about its characters, parts of files, the order of methods, and guessing of types."""

from http import HTTPStatus

from flask import Request, Response

from vimeo_api.core.errors import Malformed
from vimeo_api.web.pipeline import Pipeline
from vimeo_api.web.receiving import bodies


def init_app(app: Pipeline) -> None:
    """Wire the hooks."""

    @app.before
    def refuse_odd_characters(request: Request) -> None:
        path = request.path
        # PostgreSQL stores no NUL; in paths nginx refuses it too.
        if "\0" in path or b"%00" in request.query_string:
            raise Malformed("The URL contains a NUL.")
        # werkzeug replaces what is not UTF-8: different names would be one.
        if "\N{REPLACEMENT CHARACTER}" in path and not _is_utf_8(request.environ["PATH_INFO"]):
            bodies.drain()
            raise Malformed("The path is not UTF-8.")

    @app.before
    def refuse_part(request: Request) -> None:
        # RFC 9110, section 14.5. `curl -C` and some upload widgets send it; each part would become a file.
        if request.method in {"POST", "PUT"} and "Content-Range" in request.headers:
            bodies.drain()
            raise Malformed("Content-Range is not supported in an upload; /uploads takes files in parts.")

    @app.after
    def sort_methods(request: Request, response: Response) -> Response:
        # Werkzeug joins a set, so the order would differ between processes.
        names_methods = response.status_code == HTTPStatus.METHOD_NOT_ALLOWED or request.method == "OPTIONS"
        if names_methods and (allowed := response.headers.get("Allow")):
            response.headers["Allow"] = ", ".join(sorted(allowed.split(", ")))
        return response

    @app.after
    def forbid_sniffing(_request: Request, response: Response) -> Response:
        # Errors and listings repeat what clients sent.
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _is_utf_8(path: str) -> bool:
    """Return whether a path is UTF-8; WSGI decodes it as Latin-1."""
    try:
        path.encode("latin-1").decode()
    except UnicodeDecodeError:
        return False
    return True
