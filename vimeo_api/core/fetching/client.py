"""Fetch a URL into a sink, over several connections if the origin allows it; never a wrong file.

The first GET asks for `bytes=0-`, so its response is both the probe and the first span. If the origin gives ranges, a
size and a strong validator, several connections fetch (`connections`). Any other origin sends one stream, which starts
again when it breaks. All callbacks except `write_at` run in the caller's thread (`watch`). No thread and no connection
outlives `fetch`. `job` and `manage.py fetch` call it.
Sources: RFC 9110, 14 (ranges); RFC 9112, 6.3 (length).
"""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Protocol

from vimeo_api.core.errors import TooLarge
from vimeo_api.core.fetching import headers
from vimeo_api.core.fetching.connections import RECEIVE_CHUNK, REFUSES_RANGES, Parallel, Tries, Unranged
from vimeo_api.core.fetching.headers import Version
from vimeo_api.core.fetching.plan import Plan
from vimeo_api.core.fetching.session import Limits, OriginResponse, Session
from vimeo_api.core.fetching.ssrf import AddressRefused, OriginError, OriginFailed, OriginTooSlow, Resolver, UrlRefused
from vimeo_api.core.fetching.watch import Cancelled, Progress, Threads, Watch

__all__ = [
    "AddressRefused",
    "Cancelled",
    "Fetched",
    "Limits",
    "OriginError",
    "OriginFailed",
    "OriginTooSlow",
    "Sink",
    "UrlRefused",
    "Version",
    "fetch",
]

CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the origin offers and, once the fetch is done, what was fetched."""

    url: str  # after all redirects
    name: str  # safe to show and to store
    version: Version  # its size may be None in an offer, never in the result


class Sink(Protocol):
    """Where the bytes go. An error of the sink, such as StorageFull, ends the fetch, and `fetch` raises it."""

    def spans(self) -> list[tuple[int, int]]:
        """Return the spans [start, end) that are written, by this attempt and earlier ones."""

    def begin(self, offer: Fetched, *, resumed: bool) -> None:
        """Prepare for the offer, before its first byte; unless resumed, forget all spans and bytes.

        A sink that can resume after a crash stores `offer.version` here. When a stream breaks and starts again, this is
        called again with `resumed=False`; the version may have changed by then.
        """

    def write_at(self, offset: int, data: memoryview, /) -> None:
        """Write bytes at their offset; several threads call this at once, never two for the same byte.

        The data is valid until this returns.
        """


def fetch(
    url: str,
    sink: Sink,
    *,
    limits: Limits | None = None,
    allow_private: bool = False,
    connections: int = CONNECTIONS,
    chunk: int = RECEIVE_CHUNK,
    resolver: Resolver = socket.getaddrinfo,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    resume: Version | None = None,
    checked: bool = False,
) -> Fetched:
    """Fetch a URL into a sink and return what was fetched.

    A connection receives and writes up to `chunk` bytes at a time. About ten times a second, `progress` is called with
    the bytes so far and the total, if known, and then `cancelled`.
    `checked` says that the caller checks a digest. Only then is a body accepted whose length the origin does not say,
    because its end looks like a broken connection.
    `resume` is the version that `sink.spans()` belong to; if the origin has another by now, all is fetched again.
    Raises UrlRefused, AddressRefused, OriginFailed, OriginTooSlow, TooLarge, Cancelled, and what the sink raises.
    """
    never: Callable[[], bool] = lambda: False  # noqa: E731 -- a default, not a function of ours
    watch = Watch(limits or Limits(), progress or (lambda _received, _total: None), cancelled or never)
    new_session = partial(
        Session,
        watch.limits,
        watch.deadline,
        allow_private=allow_private,
        connections=connections,
        resolver=resolver,
    )
    return _Fetch(sink, watch, new_session, connections, chunk, stored=resume, checked=checked).run(url)


@dataclass(slots=True)
class _Fetch:
    """One call of `fetch`."""

    sink: Sink
    watch: Watch
    new_session: Callable[[], Session]
    connections: int
    chunk: int
    stored: Version | None  # the version of the sink's bytes
    checked: bool

    def run(self, url: str) -> Fetched:
        """Try until it is done or another try makes no sense."""
        tries = Tries(self.watch.limits)
        ranged = True
        while True:
            try:
                with self._crew() as crew:
                    return self._attempt(crew, url, ranged=ranged)
            except Unranged:
                ranged = False
            except OriginError as error:
                self.watch.pause(tries.pause(error))

    @contextmanager
    def _crew(self) -> Iterator[Threads]:
        session = self.new_session()
        with ThreadPoolExecutor(self.connections, thread_name_prefix="fetch") as threads:
            try:
                yield Threads(session, threads, self.watch)
            finally:
                session.stop()
                threads.shutdown()
                session.close()

    def _attempt(self, crew: Threads, url: str, *, ranged: bool) -> Fetched:
        self.watch.probing()
        response: OriginResponse = crew.run(partial(self._probe, crew.session, url, ranged=ranged))[0].result()
        size = _size(response)
        offer = Fetched(
            response.target.url,
            headers.name(response.headers, response.target.url),
            headers.version(response.headers, size),
        )
        self.watch.total = size
        _check_size(size or 0, self.watch.limits)
        if ranged and _gives_ranges(response) and size is not None and offer.version.validator:
            return self._in_ranges(crew, response, offer)
        if response.status == HTTPStatus.PARTIAL_CONTENT and headers.end(response.headers) != size:
            raise Unranged("The first part comes without what is needed to ask for the others.")
        return self._in_one_stream(crew, response, offer)

    def _probe(self, session: Session, url: str, *, ranged: bool) -> OriginResponse:
        response = session.follow(url, {"Range": "bytes=0-"} if ranged else {})
        self.watch.heard()
        if ranged and response.status in {HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, *REFUSES_RANGES}:
            raise Unranged("The origin gives no ranges, or the file is empty.")
        response.check_status()
        headers.check_framing(response.headers)
        if response.status == HTTPStatus.PARTIAL_CONTENT:
            self._check_part(response, ranged=ranged)
        return response

    @staticmethod
    def _check_part(response: OriginResponse, *, ranged: bool) -> None:
        """Raise unless a part starts the file or, if no range was asked for, is all of it."""
        if ranged and not headers.says_piece(response.headers):
            raise Unranged("The origin sends a part of the file without saying which.")
        piece = headers.piece(response.headers)
        if piece.start != 0 or (not ranged and piece.end != piece.size):
            raise OriginFailed("The origin sends a part of the file that was not requested.")

    def _begin(self, offer: Fetched, *, resumed: bool) -> None:
        self.stored = offer.version
        self.sink.begin(offer, resumed=resumed)
        self.watch.measure()

    def _in_ranges(self, crew: Threads, response: OriginResponse, offer: Fetched) -> Fetched:
        version = offer.version
        kept = self.sink.spans() if self.stored is not None and version.continues(self.stored) else []
        plan = Plan(version.size or 0, kept, parts=self.connections)
        self.watch.received = lambda: plan.received
        self._begin(offer, resumed=bool(kept))
        work = Parallel(
            plan,
            target=response.target,
            version=version,
            sink=self.sink,
            session=crew.session,
            heard=self.watch.heard,
            chunk=self.chunk,
        )
        crew.run(*work.jobs(response, self.connections), until=lambda: plan.complete)
        self.watch.tick()
        return offer

    def _in_one_stream(self, crew: Threads, response: OriginResponse, offer: Fetched) -> Fetched:
        if not response.delimited and not self.checked:
            raise OriginFailed(
                "The origin does not say how long the file is, so a part could pass for the whole. Ask for it with its "
                "SHA-256."
            )
        received, size = 0, offer.version.size

        def stream() -> None:
            nonlocal received
            while data := response.read(self.chunk):
                _check_size(received + len(data), self.watch.limits)
                if size is not None and received + len(data) > size:
                    raise OriginFailed("The origin sends more than it has announced.")
                self.sink.write_at(received, data)
                received += len(data)
                self.watch.heard()
            if size not in (None, received):
                raise OriginFailed("The origin ends before the file does.", transient=True)

        self.watch.received = lambda: received
        self._begin(offer, resumed=False)
        crew.run(stream)
        return Fetched(offer.url, offer.name, headers.version(response.headers, received))


def _size(response: OriginResponse) -> int | None:
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        return headers.piece(response.headers).size
    return headers.length(response.headers)


def _gives_ranges(response: OriginResponse) -> bool:
    said = response.headers.get("Accept-Ranges", "").strip().lower()
    return said == "bytes" or (response.status == HTTPStatus.PARTIAL_CONTENT and said != "none")


def _check_size(size: int, limits: Limits) -> None:
    if limits.max_bytes is not None and size > limits.max_bytes:
        raise TooLarge(f"The file is larger than {limits.max_bytes} bytes.")
