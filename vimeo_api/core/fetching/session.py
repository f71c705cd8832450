"""One origin as `client` sees it: a GET over a pooled connection to an address that was checked.

Redirects are followed here, one checked hop at a time. urllib3 knows of no proxies unless told, and is not told.
Everything that blocks ends within the limits, or at once after `Session.stop`.
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
from vimeo_api.core.fetching.host_limits import SLOTS, Slot
from vimeo_api.core.fetching.ssrf import OriginFailed, OriginTooSlow, Resolver, Target, UrlRefused, check_url, resolve

_REDIRECTS = {301, 302, 303, 307, 308}
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "vimeo_api"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much and how long; times in seconds."""

    max_bytes: int | None = None
    total: float = 6 * 3600.0  # the whole fetch
    idle: float = 60.0  # not a byte on any connection: the fetch fails
    stall: float = 20.0  # not a byte on one connection: that one is tried again
    connect: float = 10.0
    redirects: int = 5
    retries: int = 5  # in a row, without a byte in between
    backoff: float = 0.25  # before the first retry; doubled for each further one
    per_host: int = 16  # connections of this process to one host


class OriginResponse:
    """The status, headers and body of one GET; closing it gives the connection back, or up."""

    def __init__(self, target: Target, response: urllib3.BaseHTTPResponse, slot: Slot) -> None:
        """Wrap an answer whose body nobody has read yet."""
        self.target = target
        self.slot = slot
        self.closed = False
        self.status = response.status
        self.headers: headers.Headers = response.headers
        self._response = response

    @property
    def delimited(self) -> bool:
        """Whether the end of the body can be told from a connection that breaks."""
        return "Content-Length" in self.headers or "Transfer-Encoding" in self.headers

    def read(self, most: int) -> memoryview:
        """Return the next bytes as soon as there are any; none at the end. They are good until the next call.

        Raises OriginFailed, OriginTooSlow.
        """
        with _said(self.target.host):
            return memoryview(self._response.read1(most, decode_content=False))

    def check_status(self) -> None:
        """Raise OriginFailed unless the answer is a success; transient where asking again may help."""
        if self.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            phrase = http.client.responses.get(self.status, "unknown")
            raise OriginFailed(
                f"{self.target.host} answers {self.status} ({phrase}).",
                transient=self.status in _TRY_AGAIN,
                retry_after=headers.retry_after(self.headers),
            )

    def close(self) -> None:
        """Let go of connection and slot."""
        self.closed = True
        self._response.close()
        self.slot.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Session:
    """The connections of one fetch; any thread may use it."""

    def __init__(
        self,
        limits: Limits,
        deadline: float,
        *,
        allow_private: bool,
        connections: int,
        resolver: Resolver,
    ) -> None:
        """Have no connection yet; none will wait beyond the deadline, a time of `time.monotonic`."""
        self.limits = limits
        self.stopped = threading.Event()
        self.queued = False  # whether the first connection waits for others of this process
        self._deadline = deadline
        self._allow_private = allow_private
        self._connections = connections
        self._resolver = resolver
        self._pools: dict[tuple[str, str, int], urllib3.HTTPConnectionPool] = {}
        self._answers: list[OriginResponse] = []
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()

    def follow(self, url: str, extra: dict[str, str]) -> OriginResponse:
        """GET a URL and what it redirects to. Raises UrlRefused, OriginFailed, OriginTooSlow."""
        target = check_url(url, allow_private=self._allow_private)
        for _ in range(self.limits.redirects + 1):
            answer = self.get(target, extra, self.slot(target, first=True))
            if answer.status not in _REDIRECTS:
                return answer
            with answer:
                target = self._next(target, answer)
        raise OriginFailed(f"{target.host} redirects more than {self.limits.redirects} times.")

    def slot(self, target: Target, *, first: bool) -> Slot:
        """Wait for the right to a connection. Raises OriginTooSlow once the session is stopped."""
        self.queued = self.queued or first
        slot = SLOTS.acquire(target.host, self.limits.per_host, first=first, stopped=self.stopped)
        self.queued = self.queued and not first
        if slot is None:
            raise OriginTooSlow("The fetch was stopped.")
        return slot

    def get(self, target: Target, extra: dict[str, str], slot: Slot) -> OriginResponse:
        """GET a checked URL, no redirects; the answer owns the slot.

        Raises AddressRefused, OriginFailed, OriginTooSlow.
        """
        try:
            with _said(target.host):
                left = max(self._deadline - time.monotonic(), 0.01)
                response = self._pool(target).urlopen(
                    "GET",
                    target.path,
                    headers=_HEADERS | extra,
                    timeout=urllib3.Timeout(connect=min(self.limits.connect, left), read=min(self.limits.stall, left)),
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                )
        except BaseException:
            slot.release()
            raise
        answer = OriginResponse(target, response, slot)
        with self._lock:
            self._answers = [other for other in self._answers if not other.closed] + [answer]
        return answer

    def stop(self) -> None:
        """Break every connection, so that whoever reads learns it at once; a connect ends by its own timeout."""
        self.stopped.set()
        with self._lock:
            for sock in list(self._sockets):
                # Not SSLSocket.shutdown, which takes the TLS object away under the one who reads.
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close all answers and pooled connections, once nobody reads."""
        for answer in self._answers:
            answer.close()
        for pool in self._pools.values():
            pool.close()

    def watch(self, sock: socket.socket) -> None:
        """Remember a socket for `stop`. Raises OSError when it is too late for that."""
        with self._lock:
            if self.stopped.is_set():
                raise OSError("The fetch was stopped.")
            self._sockets.add(sock)

    def _next(self, target: Target, answer: OriginResponse) -> Target:
        """Return where a redirect leads.

        From https to http it is refused: who asked for https was promised that nobody on the way chooses the bytes.
        """
        location = headers.location(answer.headers)
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
        """Return the pool of an origin, made on the first request with the addresses that are right then."""
        key = (target.scheme, target.host, target.port)
        if key not in self._pools:
            addresses = resolve(target, allow_private=self._allow_private, resolver=self._resolver)
            self._pools[key] = pinned_pool.pool(target, addresses, self.watch, self._connections)
        return self._pools[key]


@contextmanager
def _said(host: str) -> Iterator[None]:
    """Raise what goes wrong on the way to an origin as one of our errors."""
    try:
        yield
    except exceptions.NewConnectionError as error:  # by inheritance a timeout, in fact a refusal
        raise OriginFailed(f"{host} cannot be reached.", transient=True) from error
    except exceptions.InvalidHeader as error:
        raise OriginFailed(f"{host} gives no credible length.") from error
    except (exceptions.TimeoutError, TimeoutError) as error:
        raise OriginTooSlow(f"{host} does not answer in time.", transient=True) from error
    except exceptions.SSLError as error:
        if error.args and isinstance(error.args[0], ssl.SSLCertVerificationError):
            raise OriginFailed(f"{host} has no valid certificate for this name.") from error
        raise OriginFailed(f"{host} breaks the TLS connection.", transient=True) from error
    except (exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
        raise OriginFailed(f"{host} breaks the connection.", transient=True) from error
