"""Connection pools that connect only to the checked addresses of a host.

`session` makes one pool per origin. The pool has the host's name, so the Host header, SNI and the certificate check use
the name (RFC 9110, 4.3.4); only the socket connects to a checked address, without another lookup.
"""

import http.client
import io
import logging
import select
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import urllib3
from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection

from vimeo_api.core.fetching.ssrf import Address, OriginFailed, Target

HEADER_BYTES = 64 * 1024  # all header lines of one response together
_BUFFER = 256 * 1024  # bytes per read of the socket, at most

# urllib3 logs URLs, and their queries may hold secrets.
logging.getLogger("urllib3").setLevel(logging.ERROR)

Watch = Callable[[socket.socket], None]


def pool(target: Target, addresses: Sequence[Address], watch: Watch, size: int) -> urllib3.HTTPConnectionPool:
    """Return a pool that keeps up to `size` idle connections to the first of the addresses that answers.

    `watch` is called with every new socket, and may raise OSError to stop the connecting.
    """
    options: dict[str, Any] = {"maxsize": size, "addresses": addresses, "watch": watch}
    if target.scheme == "https":
        return _HttpsPool(target.host, target.port, ssl_context=ssl.create_default_context(), **options)
    return _HttpPool(target.host, target.port, **options)


class _Pinned(HTTPConnection):
    """A connection to one of the checked addresses, whatever the host's name resolves to now."""

    def __init__(
        self,
        *args: Any,
        addresses: Sequence[Address] = (),
        watch: Watch = lambda _: None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.response_class = _Headed
        self._addresses = addresses
        self._watch = watch

    def _new_conn(self) -> socket.socket:
        problem: OSError = OSError("no address")
        for address in self._addresses:
            try:
                return self._connected(address)
            except TimeoutError as error:
                raise exceptions.ConnectTimeoutError(self, "timed out") from error
            except OSError as error:
                problem = error
        raise exceptions.NewConnectionError(self, str(problem)) from problem

    def _connected(self, address: Address) -> socket.socket:
        sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6)  # noqa: PLR2004 -- IPv4
        try:
            self._watch(sock)
            sock.settimeout(self.timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect((str(address), self.port))
        except BaseException:
            sock.close()
            raise
        return sock


class _PinnedTls(_Pinned, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self._watch(self.sock)  # a new object: TLS now wraps the socket that was connected


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Pinned


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _PinnedTls


class _Headed(http.client.HTTPResponse):
    """A response whose headers may not exceed HEADER_BYTES, and that skips interim responses such as 103."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp: io.BufferedReader = _Capped(self.fp.detach(), _BUFFER)

    def _read_status(self) -> tuple[str, int, str]:
        # http.client skips 100 only (RFC 9110, 15.2). HEADER_BYTES ends a series without end.
        while True:
            line: tuple[str, int, str] = super()._read_status()  # type: ignore[misc] # private there
            if not HTTPStatus.PROCESSING <= line[1] < HTTPStatus.OK:
                return line
            http.client.parse_headers(self.fp)

    def begin(self) -> None:
        super().begin()
        if isinstance(self.fp, _Capped):
            self.fp.budget = None


class _Capped(io.BufferedReader):
    budget: int | None = HEADER_BYTES  # bytes of header lines still allowed; the body is counted elsewhere
    _ahead = True  # whether the buffer may hold bytes beyond the lines
    _body = memoryview(b"")

    def readline(self, size: int | None = -1, /) -> bytes:
        self._ahead = True
        line = super().readline(size)
        if self.budget is not None:
            self.budget -= len(line)
            if self.budget < 0:
                raise OriginFailed(f"The origin sends more than {HEADER_BYTES} bytes of headers.")
        return line

    def read1(self, size: int, /) -> memoryview:  # type: ignore[override] # urllib3 passes it on unchanged
        """Return up to `size` bytes as soon as some arrive, valid until the next call.

        Returns all that has arrived by then; a single read of the socket would return one TLS record of 16 KiB.
        """
        if self._ahead:
            data = super().read1(size)
            self._ahead = len(data) == size
            return memoryview(data)
        if len(self._body) < size:
            self._body = memoryview(bytearray(size))
        return self._body[: self._receive(self._body[:size])]

    def _receive(self, room: memoryview) -> int:
        count = more = self.raw.readinto(room) or 0
        arrived = select.poll()
        arrived.register(self, select.POLLIN)
        with suppress(OSError):  # the next read raises it again, after these bytes are written
            while more and count < len(room) and arrived.poll(0):
                count += (more := self.raw.readinto(room[count:]) or 0)
        return count
