"""What the proxies in front of us say about the client: its address, and scheme, host, port and path that it used.

Only headers in TRUSTED_HEADERS are read, and of each only the values that the last TRUSTED_PROXIES proxies added: the
first of these is about the client. A proxy that replaces a header instead leaves fewer values, for which werkzeug's
ProxyFix would ignore the header. nginx passes X-Forwarded-Proto under another name, because uWSGI would otherwise
believe it.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SCHEMES = frozenset({"http", "https"})
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")  # `//example.org` would make our redirects lead there
# Some proxies add the port, as RFC 7239 does: with it, each connection would count as another client.
_WITH_PORT = re.compile(r"\[(?P<six>[0-9A-Fa-f:.]+)\](?::[0-9]+)?|(?P<four>[0-9.]+):[0-9]+")


class Forwarded:
    """The app, which sees the client instead of the proxies."""

    def __init__(self, app: "WSGIApplication", proxies: int, trusted: frozenset[str]) -> None:
        """Wrap an app behind this many proxies, and trust these of their headers, such as `for` and `proto`."""
        self._app = app
        self._proxies = proxies
        self._trusted = [(name, read) for name, read in _READERS.items() if proxies and name in trusted]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Call the app."""
        if environ.get("REQUEST_SCHEME") in SCHEMES:  # by nginx
            environ["wsgi.url_scheme"] = environ["REQUEST_SCHEME"]
        for name, read in self._trusted:
            if value := self._value(environ, f"X_FORWARDED_{name.upper()}"):
                read(environ, value)
        return self._app(environ, start_response)

    def _value(self, environ: "WSGIEnvironment", name: str) -> str:
        values = (environ.get(name) or environ.get(f"HTTP_{name}", "")).split(",")
        return str(values[-min(self._proxies, len(values))].strip())


def _address(environ: "WSGIEnvironment", value: str) -> None:
    match = _WITH_PORT.fullmatch(value)
    environ["REMOTE_ADDR"] = match["six"] or match["four"] if match else value


def _scheme(environ: "WSGIEnvironment", value: str) -> None:
    if value in SCHEMES:
        environ["wsgi.url_scheme"] = value


def _host(environ: "WSGIEnvironment", value: str) -> None:
    environ["HTTP_HOST"] = value


def _port(environ: "WSGIEnvironment", value: str) -> None:
    if value.isdecimal():
        environ["HTTP_HOST"] = re.sub(r"(?::[0-9]*)?$", f":{value}", environ.get("HTTP_HOST", ""), count=1)


def _prefix(environ: "WSGIEnvironment", value: str) -> None:
    if _PREFIX.fullmatch(value.rstrip("/")):
        environ["SCRIPT_NAME"] = value.rstrip("/")


# In this order: the port belongs to the host.
_READERS = {"for": _address, "proto": _scheme, "host": _host, "port": _port, "prefix": _prefix}
