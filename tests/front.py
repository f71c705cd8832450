"""A fake nginx for resumable uploads, in this process: it asks before the body, keeps what came of it, and logs it.

It does what the location /uploads of nginx does. A body that is shorter than its Content-Length is one whose client
hung up.
"""

import io
import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.test import run_wsgi_app

from tests.inprocess import made

CHECKSUMS = ("UPLOAD_CHECKSUM", "CONTENT_DIGEST", "CONTENT_MD5")

App = Callable[..., Iterable[bytes]]


class Front:
    """What the app sees of nginx at /uploads."""

    def __init__(self, app: App, others: App, spool: Path, log: Path) -> None:
        self._app = app
        self._others = others  # what serves the other paths
        self._spool = spool
        self._log = log
        self._numbers = itertools.count(1)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith("/uploads"):
            return self._others(environ, start_response)
        length = environ.get("CONTENT_LENGTH") or ""
        body = environ["wsgi.input"].read(int(length or 0))
        environ |= {"CONTENT_LENGTH": "", "wsgi.input": io.BytesIO(), "X_REQUEST_ID": uuid.uuid4().hex}
        if environ["REQUEST_METHOD"] in {"POST", "PATCH"}:
            announced = "" if environ.get("HTTP_TRANSFER_ENCODING") else length
            _, status, headers = self._run(environ | {"X_ADMIT_UPLOAD": "1", "X_ANNOUNCED": announced})
            if not status.startswith("2"):
                start_response(status, [one for one in headers if one[0] != "Content-Length"])
                return [f"{dict(headers).get('X-Refusal', '')}\n".encode()]
        environ["X_BODY_FILE"] = self.keep(body)
        answer: Iterable[bytes]
        if len(body) < int(length or 0) or environ.get("test.killed"):
            answer, status, headers = iter([b""]), "400 Bad Request", []
        else:
            answer, status, headers = self._run(environ)
        self.note(environ)
        start_response(status, headers)
        return answer

    def note(self, environ: dict[str, Any]) -> None:
        """Write a line about a request into the log."""
        line = {
            "ticket": f"upload:{environ['X_REQUEST_ID']}",
            "body": environ["X_BODY_FILE"],
            "digest": "".join(environ.get(f"HTTP_{name}", "") for name in CHECKSUMS),
            "draft": environ.get("HTTP_UPLOAD_COMPLETE", ""),
            "time": f"{time.time():.3f}",
        }
        with self._log.open("a") as log:
            log.write(json.dumps(line, separators=(",", ":")) + "\n")

    def _run(self, environ: dict[str, Any]) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        body, status, headers = run_wsgi_app(self._app, dict(environ), buffered=True)
        return body, status, list(headers)

    def keep(self, body: bytes) -> str:
        """Put a body into the spool, as nginx does."""
        if not body:
            return ""
        path = self._spool / f"{next(self._numbers):010}"
        path.write_bytes(body)
        return str(path)


@contextmanager
def fronted(profile: str, data: Path, **settings: str) -> Iterator[Flask]:
    """Make an app in a profile; in production, behind the fake nginx and with its log."""
    log = data / "journal" / "uploads.log"
    journal = {"JOURNAL": str(log.with_name("deliveries.log"))} if profile == "production" else {}
    with made(profile, data, **journal, **settings) as app:
        if profile == "production":
            log.parent.mkdir(exist_ok=True)
            inner: App = app.wsgi_app._app  # type: ignore[attr-defined]  # noqa: SLF001 -- behind the other fake nginx
            app.wsgi_app = Front(inner, app.wsgi_app, app.config["SETTINGS"].spool_dir, log)  # type: ignore[method-assign]
        yield app
