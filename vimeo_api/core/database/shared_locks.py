"""Locks among the processes of all hosts: advisory locks of PostgreSQL, or flock(2) beside an SQLite database.

`api_tokens` holds them for quotas, `fetching.claims` for turns, `files.digests` to work alone. What concerns the
folders of one host is locked by `core.storage.locks`. Source: PostgreSQL, 13.3.5 and 9.28.10; the server frees the lock
of a connection that ends.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError, OperationalError

from vimeo_api.core.errors import Unavailable
from vimeo_api.core.storage import locks
from vimeo_api.extensions import db, settings


@contextmanager
def held(name: str) -> Iterator[None]:
    """Hold a lock. Raises Unavailable if another process does not release it within DATABASE_SECONDS (flock: 30 s)."""
    if db.engine.dialect.name != "postgresql":
        with locks.held(settings.data_dir / "locks" / name):
            yield
        return
    with _connected() as connection:
        try:
            connection.execute(select(func.pg_advisory_lock(_number(name))))
        except OperationalError as error:  # statement_timeout
            raise Unavailable(f"The lock {name} was not released in time.") from error
        try:
            yield
        finally:
            _release(connection, name)


@contextmanager
def tried(name: str) -> Iterator[bool]:
    """Hold a lock if it is free; yield whether it was."""
    if db.engine.dialect.name != "postgresql":
        with locks.tried(settings.data_dir / "locks" / name) as free:
            yield free
        return
    with _connected() as connection:
        free = bool(connection.execute(select(func.pg_try_advisory_lock(_number(name)))).scalar())
        try:
            yield free
        finally:
            if free:
                _release(connection, name)


@contextmanager
def _connected() -> Iterator[Connection]:
    """Yield a connection that works: the server may have closed a pooled one, for example by a restart."""
    connection = db.engine.connect()
    try:
        connection.execute(select(1))
    except DBAPIError as error:
        connection.close()
        if not error.connection_invalidated:
            raise
        connection = db.engine.connect()
    with connection:
        yield connection


def _release(connection: Connection, name: str) -> None:
    with suppress(DBAPIError):  # with the connection, the server has released the lock
        connection.execute(select(func.pg_advisory_unlock(_number(name))))


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
