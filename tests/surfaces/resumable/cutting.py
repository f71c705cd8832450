"""A proxy that cuts connections after a number of bytes, for clients that have to resume."""

import enum
import select
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

RESET = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER: close with RST
_PIECE = 64 * 1024


class Fate(enum.Enum):
    """What becomes of a connection that is cut."""

    CLOSE = "closed"
    RESET = "reset"
    SILENCE = "silent"  # the client is gone, and the service is not told before the proxy ends


class Cutter:
    """Forwards connections to a port, and cuts each that sends more than the next limit."""

    def __init__(self, port: int, limits: Sequence[int], fate: Fate) -> None:
        self._port = port
        self.left = list(limits)  # bytes
        self._fate = fate
        self._silent: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Forward until `close`."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._forward, args=[client], daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        while self._silent:
            self._silent.pop().close()

    def _forward(self, client: socket.socket) -> None:
        """Forward both ways; in one thread, because a close while another reads would close nothing."""
        sent = 0
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._port)) as server:
            others = {client: server, server: client}
            while True:
                for end in select.select(others, [], [])[0]:
                    if not (data := end.recv(_PIECE)):
                        return
                    sent += len(data) if end is client else 0
                    if end is client and self._cuts(sent):
                        server.sendall(data[: len(data) // 2])
                        for cut in others if self._fate is Fate.RESET else ():
                            cut.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                        if self._fate is Fate.SILENCE:
                            self._silent.append(server.dup())
                        return
                    others[end].sendall(data)

    def _cuts(self, sent: int) -> bool:
        with self._lock:
            if not self.left or sent < self.left[-1]:
                return False
            self.left.pop()
            return True


@contextmanager
def cutting(port: int, limits: Sequence[int], fate: Fate = Fate.CLOSE) -> Iterator[Cutter]:
    """Run a proxy in front of a port of this host until the block ends."""
    cutter = Cutter(port, limits, fate)
    thread = threading.Thread(target=cutter.serve, daemon=True)
    thread.start()
    try:
        yield cutter
    finally:
        cutter.close()
        thread.join()
