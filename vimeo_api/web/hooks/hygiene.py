"""Small rules that hold on every path: no NUL in a URL, methods in a fixed order, no guessing of media types."""

from flask import Flask, Response, request

from vimeo_api.core.errors import Malformed


def init_app(app: Flask) -> None:
    """Wire the hooks."""

    @app.before_request
    def refuse_nul() -> None:
        # PostgreSQL stores no NUL; in paths nginx refuses it too.
        if "\0" in request.path or b"%00" in request.query_string:
            raise Malformed("The URL contains a NUL.")

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
