"""The HTTP session of one fetch: GETs over pooled connections to checked addresses; `client` and `connections` use it.

Redirects are followed here, one checked hop at a time. urllib3 uses no proxy unless configured, and we configure none.
Every blocking call ends within the limits, or at once after `Session.stop`.
"""

import http.client
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self
from urllib.parse import urljoin

import urllib3
from urllib3 import exceptions

from vimeo_api.core.fetching import headers, pinned_pool
from vimeo_api.core.fetching.cookies import Cookies
from vimeo_api.core.fetching.host_limits import SLOTS, Slot
from vimeo_api.core.fetching.ssrf import OriginFailed, OriginTooSlow, Resolver, Target, UrlRefused, check_url, resolve

_REDIRECTS = {301, 302, 303, 307, 308}
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "vimeo_api"}


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one fetch; times in seconds."""

    max_bytes: int | None = None
    total: float = 6 * 3600.0  # the whole fetch
    idle: float = 60.0  # no byte on any connection: the fetch fails
    min_rate: int = 0  # bytes per second; a fetch that is slower for `rate_seconds` fails
    rate_seconds: float = 60.0
    stall: float = 20.0  # no byte on one connection: that one is tried again
    connect: float = 10.0
    redirects: int = 20  # as many as browsers follow
    retries: int = 5  # in a row, without a byte in between
    backoff: float = 0.25  # before the first retry; doubled for each further one
    per_host: int = 16  # connections of this process to one host


class OriginResponse:
    """The status, headers and body of one GET; closing it returns the connection to the pool, or closes it."""

    def __init__(self, target: Target, response: urllib3.BaseHTTPResponse, slot: Slot) -> None:
        """Wrap a response whose body has not been read yet."""
        self.target = target
        self.slot = slot
        self.closed = False
        self.status = response.status
        self.headers: headers.Headers = response.headers
        self._response = response

    @property
    def delimited(self) -> bool:
        """Whether the end of the body can be told from a broken connection."""
        return "Content-Length" in self.headers or "Transfer-Encoding" in self.headers

    def read(self, most: int) -> memoryview:
        """Return the next bytes as soon as some arrive, empty at the end; they are valid until the next call.

        Raises OriginFailed, OriginTooSlow.
        """
        with _origin_errors(self.target.host):
            return memoryview(self._response.read1(most, decode_content=False))

    def check_status(self) -> None:
        """Raise OriginFailed unless the response is a success; transient if another try may help."""
        if self.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            phrase = http.client.responses.get(self.status, "unknown")
            raise OriginFailed(
                f"{self.target.host} answers {self.status} ({phrase}).",
                transient=self.status in _TRY_AGAIN,
                retry_after=headers.retry_after(self.headers),
            )

    def close(self) -> None:
        """Release the connection and the slot."""
        self.closed = True
        self._response.close()
        self.slot.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Session:
    """The connections of one fetch; safe among threads."""

    def __init__(
        self,
        limits: Limits,
        deadline: float,
        *,
        allow_private: bool,
        connections: int,
        resolver: Resolver,
    ) -> None:
        """Start without connections; none waits beyond the deadline, in the time of `time.monotonic`."""
        self.limits = limits
        self.stopped = threading.Event()
        self.queued = False  # whether the first connection waits for other fetches of this process
        self._deadline = deadline
        self._allow_private = allow_private
        self._connections = connections
        self._resolver = resolver
        self._cookies = Cookies()
        self._pools: dict[tuple[str, str, int], urllib3.HTTPConnectionPool] = {}
        self._responses: list[OriginResponse] = []
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()

    def follow(self, url: str, extra: dict[str, str]) -> OriginResponse:
        """GET a URL and follow its redirects. Raises UrlRefused, OriginFailed, OriginTooSlow."""
        target = check_url(url, allow_private=self._allow_private)
        for _ in range(self.limits.redirects + 1):
            response = self.get(target, extra, self.slot(target, first=True))
            if response.status not in _REDIRECTS:
                return response
            with response:
                target = self._next(target, response)
        raise OriginFailed(f"{target.host} redirects more than {self.limits.redirects} times.")

    def slot(self, target: Target, *, first: bool) -> Slot:
        """Wait for a slot for a connection. Raises OriginTooSlow once the session is stopped."""
        self.queued = self.queued or first
        slot = SLOTS.acquire(target.host, self.limits.per_host, first=first, stopped=self.stopped)
        self.queued = self.queued and not first
        if slot is None:
            raise OriginTooSlow("The fetch was stopped.")
        return slot

    def get(self, target: Target, extra: dict[str, str], slot: Slot) -> OriginResponse:
        """GET a checked URL without following redirects; the response owns the slot.

        Raises AddressRefused, OriginFailed, OriginTooSlow.
        """
        return self._request("GET", target, extra, slot)

    def post(self, url: str, body: bytes, extra: dict[str, str]) -> OriginResponse:
        """POST to a URL, without following redirects.

        Raises UrlRefused, AddressRefused, OriginFailed, OriginTooSlow.
        """
        target = check_url(url, allow_private=self._allow_private)
        return self._request("POST", target, extra, self.slot(target, first=True), body)

    def _request(
        self, method: str, target: Target, extra: dict[str, str], slot: Slot, body: bytes | None = None
    ) -> OriginResponse:
        try:
            with _origin_errors(target.host):
                left = max(self._deadline - time.monotonic(), 0.01)
                raw = self._pool(target).urlopen(
                    method,
                    target.path,
                    body=body,
                    headers=_HEADERS | extra | self._cookies.header(target),
                    timeout=urllib3.Timeout(connect=min(self.limits.connect, left), read=min(self.limits.stall, left)),
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                )
        except BaseException:
            slot.release()
            raise
        self._cookies.keep(target, raw.headers.getlist("Set-Cookie"))
        response = OriginResponse(target, raw, slot)
        with self._lock:
            self._responses = [other for other in self._responses if not other.closed] + [response]
        return response

    def stop(self) -> None:
        """Shut down every connection, so that reads end at once; a connect ends by its own timeout."""
        self.stopped.set()
        with self._lock:
            for sock in list(self._sockets):
                # Not SSLSocket.shutdown: it drops the TLS object while another thread reads from it.
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close all responses and pooled connections, once no thread reads."""
        for response in self._responses:
            response.close()
        for pool in self._pools.values():
            pool.close()

    def watch(self, sock: socket.socket) -> None:
        """Remember a socket for `stop`. Raises OSError if the session is already stopped."""
        with self._lock:
            if self.stopped.is_set():
                raise OSError("The fetch was stopped.")
            self._sockets.add(sock)

    def _next(self, target: Target, response: OriginResponse) -> Target:
        """Return where a redirect leads.

        A redirect from https to http is refused: https promises that nobody on the way can change the bytes.
        """
        location = headers.location(response.headers)
        if not location:
            raise OriginFailed(f"{target.host} redirects to nowhere.")
        try:
            further = check_url(urljoin(target.url, location), allow_private=self._allow_private)
        except ValueError as error:
            raise UrlRefused("The URL redirects to something that cannot be read.") from error
        if target.scheme == "https" and further.scheme == "http":
            raise UrlRefused("The URL redirects from https to http, where anybody on the way could change the file.")
        return further

    def _pool(self, target: Target) -> urllib3.HTTPConnectionPool:
        """Return the pool of an origin; the first request makes it, with the addresses of that moment."""
        key = (target.scheme, target.host, target.port)
        if key not in self._pools:
            addresses = resolve(target, allow_private=self._allow_private, resolver=self._resolver)
            self._pools[key] = pinned_pool.pool(target, addresses, self.watch, self._connections)
        return self._pools[key]


@contextmanager
def _origin_errors(host: str) -> Iterator[None]:
    """Raise the errors of urllib3 and the socket as ours."""
    try:
        yield
    except exceptions.NewConnectionError as error:  # a subclass of timeouts, but means a refused connection
        raise OriginFailed(f"{host} cannot be reached.", transient=True) from error
    except exceptions.InvalidHeader as error:
        raise OriginFailed(f"{host} gives no valid length.") from error
    except (exceptions.TimeoutError, TimeoutError) as error:
        raise OriginTooSlow(f"{host} does not answer in time.", transient=True) from error
    except exceptions.SSLError as error:
        if error.args and isinstance(error.args[0], ssl.SSLCertVerificationError):
            raise OriginFailed(f"{host} has no valid certificate for this name.") from error
        raise OriginFailed(f"{host} breaks the TLS connection.", transient=True) from error
    except (exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
        raise OriginFailed(f"{host} breaks the connection.", transient=True) from error
