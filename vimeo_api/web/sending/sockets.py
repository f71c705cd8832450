"""What the kernel knows about a client's connection, for the embedded server, which has no journal.

Sources: tcp(7) (SIOCOUTQ, which is TIOCOUTQ), recv(2).
"""

import fcntl
import select
import socket
import struct
import termios
import time

SEND_BUFFER = 64 * 1024  # bytes the kernel may hold back for a client; the less, the more we know of what it took
DRAIN_SECONDS = 60  # seconds for the last buffer to be acknowledged; nginx's send_timeout
_POLL = 0.002  # seconds; the kernel has no event for an empty send queue


def narrow(connection: socket.socket) -> None:
    """Bound what can be under way to the client without its having taken it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


def drained(connection: socket.socket) -> bool:
    """Wait until the client's kernel has acknowledged all that was written; return whether it did.

    False when the client reset the connection, as one does that closes with bytes unread.
    """
    deadline = time.monotonic() + DRAIN_SECONDS
    while _alive(connection):
        if _unacknowledged(connection) == 0:
            return _alive(connection)
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return False


def _unacknowledged(connection: socket.socket) -> int:
    return int(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))[0])


def _alive(connection: socket.socket) -> bool:
    if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        return False
    # A socket with a timeout waits for it in recv(), MSG_DONTWAIT or not; so that is asked only for what is there.
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    if not waiting.poll(0):
        return True
    try:
        connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return False
    return True  # more bytes, or an orderly end: the client has said all it wanted and may still read
