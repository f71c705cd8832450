"""The objects that live as long as the process: settings, database, cache, folders for bytes, Celery.

`app.create_app` binds them to the app that serves, `worker` to the app of the tasks; the layers above import them from
here.
"""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from cachelib.serializers import JSONSerializer
from celery import Celery, Task
from flask import Flask, current_app
from flask_caching import Cache
from flask_caching.backends import FileSystemCache, RedisCache
from flask_sqlalchemy import SQLAlchemy
from kombu.entity import Exchange, Queue
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase
from werkzeug.local import LocalProxy

from vimeo_api import config
from vimeo_api.config import Settings, host_name
from vimeo_api.config.secret import notify_secret, write_once
from vimeo_api.core.storage.blobs import Blobs
from vimeo_api.core.storage.buckets import Bucket
from vimeo_api.core.storage.mount_check import MountCheck
from vimeo_api.core.storage.object_store import ObjectStore
from vimeo_api.core.storage.reservations import Reservations

# A checkout has these beside the package, a wheel inside it (pyproject.toml).
PACKAGE = Path(__file__).parent
INSTALLED = (PACKAGE / "migrations").is_dir()
CELERY_CONFIG = "vimeo_api.celeryconfig" if INSTALLED else "celeryconfig"

SILENCE_SECONDS = 2  # past statement_timeout; after that the server, or the network to it, hangs

P = ParamSpec("P")
T = TypeVar("T")


class Base(DeclarativeBase):
    """The declarative base of every model."""


db = SQLAlchemy(model_class=Base)
cache = Cache()
settings = cast("Settings", LocalProxy(lambda: current_app.config["SETTINGS"]))
blobs = cast("Blobs", LocalProxy(lambda: current_app.extensions["blobs"]))
mount_check = cast("MountCheck", LocalProxy(lambda: current_app.extensions["mount_check"]))
reservations = cast("Reservations", LocalProxy(lambda: current_app.extensions["reservations"]))
notify_secrets = cast("Sequence[str]", LocalProxy(lambda: current_app.extensions["notify_secrets"]))
celery = cast("Celery", LocalProxy(lambda: current_app.extensions["celery"]))


def init_app(app: Flask, values: Settings) -> None:
    """Bind all of them to an app. Raises config.ConfigError for settings that the service cannot start with."""
    app.config["SETTINGS"] = config.check(values)
    init_storage(app, values)
    init_receipts(app, values)
    init_database(app, values)
    init_cache(app, values)
    init_celery(app, values)


def in_app(call: Callable[P, T]) -> Callable[P, T]:
    """Wrap a function for use in another thread: it runs in the context of this thread's app."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 -- Flask says to

    def call_in_app(*args: P.args, **kwargs: P.kwargs) -> T:
        with app.app_context():
            return call(*args, **kwargs)

    return call_in_app


def init_database(app: Flask, values: Settings) -> None:
    """Bind the database, in which every statement is its own transaction (docs/decisions/0003)."""
    options: dict[str, Any] = {
        "isolation_level": "AUTOCOMMIT",
        "skip_autocommit_rollback": True,
        "pool_reset_on_return": None,  # nothing to roll back
        "hide_parameters": True,  # errors would quote them: password hashes, lease tokens, URLs to fetch
    }
    if values.database_url.startswith("postgresql"):
        options |= {
            "pool_size": 8,
            "max_overflow": 8,
            "pool_timeout": 5,
            "connect_args": {"connect_timeout": 3, "options": f"-c statement_timeout={values.database_seconds}s"},
        }
    else:
        options["connect_args"] = {"timeout": values.database_seconds}
    app.config["SQLALCHEMY_DATABASE_URI"] = values.database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(app)
    app.teardown_appcontext_funcs.clear()  # Flask-SQLAlchemy would remove a session there, and we use none
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", _prepare_sqlite)
        else:
            connection = _with_timeout(db.engine.dialect.loaded_dbapi, values.database_seconds + SILENCE_SECONDS)
            event.listen(
                db.engine, "do_connect", lambda _dialect, _record, args, options: connection.connect(*args, **options)
            )


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # WAL lets readers work beside one writer; FULL makes a commit survive a power cut (sqlite.org/pragma.html).
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _with_timeout(driver: Any, patience: float) -> Any:
    """Return a subclass of psycopg's Connection that closes itself after `patience` seconds without an answer.

    A server that hangs would block the thread for ever. `driver` is psycopg, which only production has installed.
    """

    class Impatient(driver.Connection):  # type: ignore[misc]
        def wait(self, gen: object, interval: float = 0.1, timeout: float | None = None) -> object:
            try:
                return super().wait(gen, interval, patience if timeout is None else timeout)
            except driver.OperationalError:
                if self.pgconn.transaction_status == driver.pq.TransactionStatus.ACTIVE:
                    self.pgconn.finish()
                raise

    return Impatient


class _Json(JSONSerializer):
    """JSON instead of cachelib's pickle: writing to the cache must not be a way to run code here."""

    def loads(self, bvalue: str | bytes | bytearray | None, *args: Any, **kwargs: Any) -> Any:
        """Return the cached value, None if there is none."""
        return None if bvalue is None else super().loads(bvalue, *args, **kwargs)


class JsonRedisCache(RedisCache):
    """Flask-Caching's Redis, with JSON values."""

    serializer = _Json()  # type: ignore[assignment]


class JsonFileCache(FileSystemCache):
    """Flask-Caching's files, with JSON values."""

    serializer = _Json()  # type: ignore[assignment]


# A cache slower than this is worse than none.
CACHE_OPTIONS: dict[str, Any] = {
    "socket_timeout": 0.1,
    "socket_connect_timeout": 0.1,
    "retry": Retry(NoBackoff(), 0),
}


def init_cache(app: Flask, values: Settings) -> None:
    """Bind the cache of 4XX responses: Redis, or files that the processes of one host share."""
    if values.cache_url:
        config: dict[str, Any] = {
            "CACHE_TYPE": f"{__name__}.JsonRedisCache",
            "CACHE_REDIS_URL": values.cache_url,
            "CACHE_KEY_PREFIX": "vimeo_api:",
            "CACHE_OPTIONS": CACHE_OPTIONS,
        }
    else:
        config = {
            "CACHE_TYPE": f"{__name__}.JsonFileCache",
            "CACHE_DIR": str(values.data_dir / "cache"),
            "CACHE_THRESHOLD": 10_000,  # entries
        }
    cache.init_app(app, config)


def init_storage(app: Flask, values: Settings) -> None:
    """Bind the folders for bytes. The first start marks the store and keeps the host's name."""
    if values.behind_nginx:
        host_name.keep(values.data_dir, values.host_name)
    mounted = MountCheck(values.store_dir, values.data_dir)
    if not mounted.expected.exists():
        # The store's copy first: after a crash in between, the next start reads the mark from there.
        write_once(mounted.expected, write_once(mounted.mark, secrets.token_hex(16)))
    app.extensions["mount_check"] = mounted
    app.extensions["blobs"] = Blobs(
        spool=values.spool_dir,
        store=values.store_dir,
        locks=values.data_dir / "locks",
        mount_check=mounted,
        remote=ObjectStore(bucket(values), values.data_dir / "locks" / "placing") if values.store_url else None,
    )
    app.extensions["reservations"] = Reservations(
        values.spool_dir,
        keep_free=values.keep_free,
        keep_files=values.keep_free_files,
        share=values.space_per_client / 100,
    )


def bucket(values: Settings) -> Bucket:
    """Return the bucket that the settings name, and the rights to it."""
    name, _, prefix = values.store_url.removeprefix("s3://").partition("/")
    options = {
        "access_key_id": values.aws_access_key_id,
        "secret_access_key": values.aws_secret_access_key,
        "session_token": values.aws_session_token,
        "server_side_encryption": values.store_encryption,
        "sse_kms_key_id": values.store_kms_key,
        "checksum_algorithm": values.store_checksum,
        "unsigned_payload": values.store_checksum != "sha256",  # else the signature costs a SHA-256 of each body
    }
    return Bucket(
        name=name,
        prefix=prefix.strip("/"),
        endpoint=values.store_endpoint.rstrip("/"),
        region=values.store_region,
        path_style=values.store_path_style,
        ca_file=values.store_ca_file,
        options=tuple((option, value) for option, value in options.items() if value),
    )


def init_receipts(app: Flask, values: Settings) -> None:
    """Bind the secrets that sign receipts. The first start makes one, unless they are set."""
    secrets_set = [secret for secret in values.notify_secrets.split(",") if secret]
    app.extensions["notify_secrets"] = secrets_set or [notify_secret(values.data_dir)]


def queue_of_host(name: str, host: str) -> Queue:
    """Return the queue for what only one host can do, such as `place` on that host."""
    queue: Queue = Queue(f"{name}.{host}", Exchange(""), f"{name}.{host}")  # type: ignore[no-untyped-call]
    return queue


def init_celery(app: Flask, values: Settings) -> Celery:
    """Bind a Celery app whose tasks run inside the Flask app's context.

    Source: https://flask.palletsprojects.com/en/stable/patterns/celery/
    """

    class FlaskTask(Task):  # type: ignore[misc]
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    bound = Celery(app.name, task_cls=FlaskTask)
    bound.config_from_object(CELERY_CONFIG)
    bound.conf.broker_url = values.broker_url
    own = [queue_of_host(name, values.host_name) for name in bound.conf.host_queues]
    bound.conf.host_name = values.host_name  # ours; `tasks` asks for it outside of the app's context
    bound.conf.task_queues = [*bound.conf.task_queues, *own]
    bound.conf.heartbeats_dir = values.data_dir / "heartbeats"  # ours; `core.monitoring.heartbeats`
    if values.broker_url.startswith("redis"):
        # A request that enqueues waits no longer than this for a broker that is gone or frozen; workers wait longer.
        bound.conf.broker_transport_options = {"socket_timeout": 0.1, "socket_connect_timeout": 0.1}
    bound.set_default()
    app.extensions["celery"] = bound
    return bound
