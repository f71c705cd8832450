"""What the kernel knows about a client's connection; the embedded server uses it in place of the journal.

Sources: tcp(7) (SIOCOUTQ, which is TIOCOUTQ; TCP_NOTSENT_LOWAT), recv(2).
"""

import fcntl
import select
import socket
import struct
import termios
import time

NOTSENT_LOWAT = 128 * 1024  # bytes; the less waits in the kernel, the better we know what a client received
DRAIN_SECONDS = 60  # for the last buffer to be acknowledged; nginx's send_timeout
_POLL = 0.002  # seconds; the kernel has no event for an empty send queue


def narrow(connection: socket.socket) -> None:
    """Limit how many bytes can wait to be sent to the client; how many are under way is the kernel's choice."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOTSENT_LOWAT)


def drained(connection: socket.socket) -> bool:
    """Wait until the client's kernel has acknowledged all that was written; return whether it did.

    False if the client reset the connection, as it does when it closes with bytes unread.
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
    # recv() waits for the socket's timeout, MSG_DONTWAIT or not; so call it only if there is something to read.
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    if not waiting.poll(0):
        return True
    try:
        connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return False
    return True  # more bytes, or an orderly end: the client has nothing more to send but may still read
