"""Small rules for every path: about NULs, parts of files, the order of methods, and guessing of media types."""

from flask import Flask, Response, request

from vimeo_api.core.errors import Malformed
from vimeo_api.web.receiving import bodies


def init_app(app: Flask) -> None:
    """Wire the hooks."""

    @app.before_request
    def refuse_nul() -> None:
        # PostgreSQL stores no NUL; in paths nginx refuses it too.
        if "\0" in request.path or b"%00" in request.query_string:
            raise Malformed("The URL contains a NUL.")

    @app.before_request
    def refuse_part() -> None:
        # RFC 9110, section 14.5. `curl -C` and some upload widgets send it; each part would become a file.
        if "Content-Range" in request.headers and request.method in {"POST", "PUT"}:
            bodies.drain()
            raise Malformed("Content-Range is not supported in an upload; /uploads takes files in parts.")

    @app.after_request
    def sort_methods(response: Response) -> Response:
        # Werkzeug joins a set, so the order would differ between processes.
        if allowed := response.headers.get("Allow"):
            response.headers["Allow"] = ", ".join(sorted(allowed.split(", ")))
        return response

    @app.after_request
    def forbid_sniffing(response: Response) -> Response:
        # Errors and listings repeat what clients sent.
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response
