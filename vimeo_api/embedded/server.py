"""The embedded server of `manage.py runserver`: werkzeug's threaded server, with a worker as its child process."""

import fcntl
import logging
import signal
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, unquote_to_bytes, urlsplit

import flask_migrate
from flask import Flask, Response, jsonify
from werkzeug.serving import LISTEN_QUEUE, BaseWSGIServer, WSGIRequestHandler, make_server

from vimeo_api import logs, views
from vimeo_api.config import ConfigError, Settings
from vimeo_api.core import broker
from vimeo_api.core.database.migrations import migrate
from vimeo_api.embedded import framing
from vimeo_api.embedded.worker import worker_child
from vimeo_api.web.hooks import repeated_headers, request_ids
from vimeo_api.web.problems import Problem
from vimeo_api.web.sending import sockets

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_log = logging.getLogger(__name__)
_access = logging.getLogger("vimeo_api.access")


def serve(app: Flask) -> None:
    """Bring the database up to date, serve until SIGINT or SIGTERM, and leave no process behind.

    Raises ConfigError if it cannot listen where it should.
    """
    settings: Settings = app.config["SETTINGS"]
    upgrade_database(app)
    with app.app_context():
        broker.create()
    server = _listening(app, settings)
    # SIGINT too: a process that a shell script starts in the background inherits it ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with worker_child(settings):
        host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
        print(f"vimeo_api is ready on http://{host}:{server.port} (files in {settings.data_dir})", flush=True)  # noqa: T201
        _serve_until_interrupted(server)


def _listening(app: Flask, settings: Settings) -> BaseWSGIServer:
    """Return the server, listening on BIND and PORT. Raises ConfigError if it cannot; werkzeug itself would exit."""
    host, port = settings.bind, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET  # as werkzeug decides it
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(LISTEN_QUEUE)
        except OSError as error:
            raise ConfigError(f"BIND={host} PORT={port}: cannot listen there: {error.strerror}.") from error
        return make_server(host, port, app, threaded=True, request_handler=Handler, fd=listener.fileno())


def _serve_until_interrupted(server: BaseWSGIServer) -> None:
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        _log.debug("interrupted")
    finally:
        server.server_close()


class Handler(WSGIRequestHandler):
    """Werkzeug's handler, but with strict framing, bounded buffers, a timeout, and log lines without the query."""

    timeout = 60  # seconds without a byte

    def setup(self) -> None:
        """Prepare the connection, with a short queue of what is not sent yet."""
        super().setup()
        sockets.narrow(self.connection)

    def handle_one_request(self) -> None:
        """Handle a request, without the environ of the one before: the log reads the path from it."""
        self.environ: WSGIEnvironment = {}
        self.path = ""
        super().handle_one_request()

    def parse_request(self) -> bool:
        """Read the head of a request, and refuse one that is ambiguous or malformed."""
        if not super().parse_request():
            return False
        status = framing.refusal(self.command, self.request_version, self.path, self.headers)
        if status is None:
            return True
        self.send_error(status)
        return False

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request without repeating any of it, in the words of the surface that owns its path."""
        del message, explain
        response = self._worded(Problem(code, ""))
        self.log_error()
        self.send_response(code, HTTPStatus(code).phrase)
        self.send_header("Connection", "close")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header(request_ids.REQUEST_ID_HEADER, request_ids.new())
        response.headers.pop("X-Content-Type-Options", None)
        for name, value in response.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.get_data())
        self.close_connection = True

    def _worded(self, problem: Problem) -> Response:
        surface = views.owner(self.path.partition("?")[0])
        with cast("Flask", self.server.app).test_request_context():  # a request that asks for no media type
            return surface.render(problem) if surface else jsonify(error=problem.phrase)

    def make_environ(self) -> "WSGIEnvironment":
        """Return the WSGI environ, with a request id as nginx would make one, and with chunked bodies decoded."""
        environ = super().make_environ()
        environ[request_ids.VARIABLE] = request_ids.new()
        # werkzeug loses bytes that are not UTF-8, and encodes twice what is not percent-encoded.
        target = urlsplit(self.path)  # as Latin-1, as in WSGI
        path = f"/{target.netloc}{target.path}" if target.netloc and not target.scheme else target.path
        path = unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
        environ["PATH_INFO"] = path or "/"  # `http://host` has none
        environ["QUERY_STRING"] = target.query
        self._pass_repeated(environ)
        if "Transfer-Encoding" in self.headers:
            environ["wsgi.input"] = framing.Chunked(self.rfile)
        return environ

    def _pass_repeated(self, environ: "WSGIEnvironment") -> None:
        """Pass headers that came twice as nginx and uWSGI do; werkzeug joins them by a comma."""
        names, keys = repeated_headers.NAMES, repeated_headers.KEYS
        for name, key in zip(names, keys, strict=True):
            if values := self.headers.get_all(name):
                environ[key] = values[-1]
        first = (self.headers.get(name, "") for name in names)
        environ[repeated_headers.VARIABLE] = repeated_headers.SEPARATOR.join(first)
        if "Range" in self.headers:
            environ["HTTP_RANGE"] = self.headers["Range"]

    def version_string(self) -> str:
        """Return what `Server` says: no versions, which would help only attackers."""
        return "vimeo_api"

    def handle_expect_100(self) -> bool:
        """Leave `100 Continue` to werkzeug, which sends it as well."""
        return True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log method, masked path and status; a query may hold a password, as may the authority of an absolute URL."""
        del size
        path = quote(logs.masked(self.environ.get("PATH_INFO", "")), safe="/*", encoding="latin-1")
        method = self.command if framing.is_token(self.command or "") else "-"  # it could hold control characters
        with logs.under(self.environ.get(request_ids.VARIABLE, "")):
            _access.info("%s %s %s", method, path, int(code))

    def log_error(self, *_: object) -> None:
        """Log that a request was malformed or did not come, without quoting it: a query may hold a password."""
        _access.info("malformed or empty request")


def upgrade_database(app: Flask) -> None:
    """Run the missing migrations; if several processes start on one folder, one at a time."""
    settings: Settings = app.config["SETTINGS"]
    migrate.init_app(app)
    with app.app_context(), (settings.data_dir / "migrate.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        flask_migrate.upgrade()
