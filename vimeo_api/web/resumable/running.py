"""Requests of this process that send bytes of an upload; a later request about the same upload ends them.

Only the embedded server has such requests: the client is back, so the earlier connection is dead, whatever the kernel
believes. In production nginx receives, and `core.resumable.adoption` reads what it says.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flask import request

_connections: dict[str, socket.socket] = {}


@contextmanager
def sending(key: str) -> Iterator[None]:
    """Note that the current request sends bytes of an upload until the block ends."""
    connection: socket.socket | None = request.environ.get("werkzeug.socket")
    if connection is None:
        yield
        return
    _connections[key] = connection
    try:
        yield
    finally:
        if _connections.get(key) is connection:
            del _connections[key]


def end(key: str) -> None:
    """End the request that sends bytes of an upload, if there is one: it keeps what has come."""
    if (connection := _connections.get(key)) is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RD)
