"""The Flask app that serves, which `app` puts together; the hooks in `web` register with it.

It differs from a plain Flask app in what every request pays for (docs/decisions/0011).
"""

from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response
from flask.globals import request_ctx
from flask.typing import ResponseReturnValue
from werkzeug.routing import MapAdapter

from vimeo_api.web import hosts

Before = Callable[[Request], Response | None]  # answers the request, or None to go on
After = Callable[[Request, Response], Response]


class Pipeline(Flask):
    """A Flask app whose views and hooks are all plain functions, and whose links have the host of `hosts`."""

    def __init__(self, name: str) -> None:
        """Make an app without hooks."""
        super().__init__(name)
        self._before: list[Before] = []
        self._after: list[After] = []

    def before(self, hook: Before) -> Before:
        """Call a hook before each view, as `before_request` does; it gets the request and need not look it up."""
        self._before.append(hook)
        return hook

    def after(self, hook: After) -> After:
        """Call a hook with each response, as `after_request` does: the hook that came last is called first."""
        self._after.insert(0, hook)
        return hook

    def preprocess_request(self) -> ResponseReturnValue | None:
        """Call the hooks, then those that Flask knows, until one answers the request."""
        request = request_ctx.request
        for hook in self._before:
            if (response := hook(request)) is not None:
                return response
        return super().preprocess_request()

    def process_response(self, response: Response) -> Response:
        """Call the hooks that Flask knows, then ours."""
        response = super().process_response(response)
        request = request_ctx.request
        for hook in self._after:
            response = hook(request, response)
        return response

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` itself: Flask would check on every call whether it is a coroutine."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what finds a request's route and makes links, with the host as `hosts` writes it.

        Flask's own way knows fewer hosts, and it parses each several times: a twentieth of the time of a first GET.
        """
        if request is None:
            return super().create_url_adapter(None)
        request.host = hosts.of(request.environ) or ""
        query = request.query_string.decode(errors="replace")
        return MapAdapter(
            self.url_map, request.host, request.root_path, "", request.scheme, request.path, request.method, query
        )
