"""The app in this process, once as under the embedded server and once behind a fake nginx.

For what the app decides by itself: whole tables of requests, and a clock that is moved instead of waiting. What nginx,
uWSGI, PostgreSQL or a worker decides is tested with the real service. Import the fixtures in a folder's conftest.
"""

import atexit
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from werkzeug.routing import Rule

from vimeo_api import config, extensions, tasks
from vimeo_api.app import create_app
from vimeo_api.core.access import passwords
from vimeo_api.embedded.server import upgrade_database
from vimeo_api.extensions import db

PROFILES = ["embedded", "production"]

_compile = vars(Rule)["_compile_builder"]
_compiled: dict[Any, Any] = {}  # by rule


def _compile_once(rule: Rule, unknown: Any) -> Any:
    """Return what builds the URLs of a rule; to compile them all for each app is most of what an app costs."""
    key = rule.rule, rule.host, rule.subdomain, str(rule.defaults), unknown
    if key not in _compiled:
        _compiled[key] = _compile(rule, unknown)
    return _compiled[key]


setattr(Rule, "_compile_builder", _compile_once)  # noqa: B010 -- werkzeug has no public name for it


_prepare_sqlite = vars(extensions)["_prepare_sqlite"]


def _prepare_quick_sqlite(connection: Any, record: object) -> None:
    _prepare_sqlite(connection, record)
    connection.execute("PRAGMA synchronous=OFF")


# Nothing in this process waits for the disk, or for a hash that is slow on purpose. The tests of power cuts start the
# service, and so do many with passwords.
for module, name, quick in (
    (passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)),
    (extensions, "_prepare_sqlite", _prepare_quick_sqlite),
    (os, "fsync", lambda _descriptor: None),
    (os, "fdatasync", lambda _descriptor: None),
):
    setattr(module, name, quick)


_shared: dict[str, Any] = {}


class Nginx:
    """What the app sees of nginx: the body is a file in the spool, and none of it comes over the socket."""

    def __init__(self, app: Callable[..., Iterable[bytes]], spool: Path) -> None:
        self._app = app
        self._spool = spool

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ |= {"CONTENT_LENGTH": "", "X_BODY_FILE": self._spooled(body) if body else ""}
        return self._app(environ, start_response)

    def _spooled(self, body: bytes) -> str:
        with tempfile.NamedTemporaryFile(dir=self._spool, delete=False) as file:
            file.write(body)
        return file.name


class Server:
    """What the app sees of the embedded server: a connection to a client that has received everything."""

    def __init__(self, app: Callable[..., Iterable[bytes]], connection: socket.socket) -> None:
        self._app = app
        self._connection = connection

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self._app(environ | {"werkzeug.socket": self._connection}, start_response)


class Clock:
    """Replaces `datetime` in `core.clock`: the real time plus what a test adds."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self, zone: tzinfo) -> datetime:
        return datetime.now(zone) + self._ahead

    def forward(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)


@contextmanager
def made(profile: str, data: Path, **settings: str) -> Iterator[Flask]:
    """Make an app with its own database and the parts of a profile.

    Enqueued tasks run at once; other due work is done by `sweep`. Making it again on the same folder is a restart.
    """
    if not data.exists():
        shutil.copytree(migrated(), data)
    values = config.load({"BROKER_URL": "memory://", **settings, "DATA_DIR": str(data), "PROFILE": "embedded"})
    values = values.model_copy(update={"profile": profile})
    app = create_app(values)
    share_compiled(app)
    app.extensions["celery"].conf.task_always_eager = True
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server = Nginx(app.wsgi_app, values.spool_dir) if values.behind_nginx else Server(app.wsgi_app, ours)
        app.wsgi_app = server  # type: ignore[method-assign]
        yield app
    with app.app_context():
        db.engine.dispose()


def share_compiled(app: Flask) -> None:
    """Let all apps on SQLite share the statements that SQLAlchemy compiles, which it does for each dialect object."""
    with app.app_context():
        if (engine := db.engine).dialect.name == "sqlite":
            engine.dialect = _shared.setdefault("dialect", engine.dialect)
            engine.update_execution_options(compiled_cache=_shared.setdefault("compiled", {}))


def sweep(app: Flask) -> None:
    """Do all that is due."""
    with app.app_context():
        tasks.sweep()


def stored(app: Flask) -> set[Path]:
    """Return the files in the store."""
    store = app.config["SETTINGS"].store_dir
    return {path for path in store.rglob("*") if path.is_file() and not path.name.startswith(".")}


@cache
def migrated() -> Path:
    """Return a data folder with an empty, migrated database, to be copied; it is made once."""
    folder = tempfile.mkdtemp(prefix="migrated-")
    atexit.register(shutil.rmtree, folder)
    data = Path(folder) / "data"
    app = create_app(config.load({"DATA_DIR": str(data), "PROFILE": "embedded"}))
    upgrade_database(app)
    with app.app_context():
        db.engine.dispose()
    return data


@pytest.fixture(scope="session", params=PROFILES)
def _made_once(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with made(request.param, tmp_path_factory.mktemp("inprocess") / "data") as app:
        yield app


@pytest.fixture
def inprocess(_made_once: Flask) -> Flask:
    """The app in each profile, shared by all tests that leave it as they found it."""
    for make_known in (_made_once.extensions["celery"].set_current, _made_once.extensions["celery"].set_default):
        make_known()  # others may have been made meanwhile
    return _made_once


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the core, which a test can move forward."""
    moved = Clock()
    monkeypatch.setattr("vimeo_api.core.clock.datetime", moved)
    return moved
