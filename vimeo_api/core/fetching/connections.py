"""Several connections fetch one plan: each requests a span with If-Range, writes what arrives, and takes another.

`client` runs the jobs. A broken connection gives the rest of its span back and tries again. One that the origin refuses
leaves quietly, and only the last one to leave raises: an origin that allows two connections is fetched with two.
A response that cannot belong to the same file ends the fetch. Sources: RFC 9110, 13.1.5 (If-Range), 15.3.7 (206).
"""

import random
import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Protocol

from vimeo_api.core.fetching import headers
from vimeo_api.core.fetching.headers import Version
from vimeo_api.core.fetching.plan import Plan, Span
from vimeo_api.core.fetching.session import Limits, OriginResponse, Session
from vimeo_api.core.fetching.ssrf import OriginError, OriginFailed, Target

RECEIVE_CHUNK = 1024 * 1024  # bytes received and written at once, at most; measured with `make bench`
_PLAN_WAIT_SECONDS = 0.1  # between two checks for a span that may be split
REFUSES_RANGES = {400, 403, 405, 501}  # what origins answer that know no ranges, instead of ignoring them
_LONGEST_PAUSE = 30.0  # seconds, whatever Retry-After says


class Changed(OriginFailed):
    """These bytes cannot belong to the earlier ones; another connection does not help."""


class Unranged(OriginError):
    """The origin does not give the ranges that it promised: the file must come in one stream."""


class _Refused(OriginFailed):
    """The origin refuses this range, or this connection."""


class Tries:
    """Counts failures in a row."""

    def __init__(self, limits: Limits) -> None:
        """Start without failures."""
        self._limits = limits
        self._failed = 0

    def succeeded(self) -> None:
        """Start counting again: bytes arrived."""
        self._failed = 0

    def pause(self, error: OriginError) -> float:
        """Return the seconds to wait before trying again: backoff with jitter, or what the origin asks for.

        Raises the error itself if trying again makes no sense.
        """
        self._failed += 1
        if not error.transient or self._failed > self._limits.retries:
            raise error
        backoff: float = self._limits.backoff * 2 ** (self._failed - 1) * random.uniform(0.5, 1)  # noqa: S311 -- no secret
        return min(max(backoff, error.retry_after), _LONGEST_PAUSE)


class _Sink(Protocol):
    def write_at(self, offset: int, data: memoryview, /) -> None: ...


class Parallel:
    """The jobs of one plan, and what they share."""

    def __init__(
        self,
        plan: Plan,
        *,
        target: Target,
        version: Version,
        sink: _Sink,
        session: Session,
        heard: Callable[[], None],
        chunk: int,
    ) -> None:
        """Prepare to fetch this version; `heard` is called whenever bytes arrive."""
        self._plan = plan
        self._target = target
        self._version = version
        self._sink = sink
        self._session = session
        self._heard = heard
        self._chunk = chunk
        self._lock = threading.Lock()
        self._active = 0  # connections that have not left

    def jobs(self, response: OriginResponse, connections: int) -> list[Callable[[], None]]:
        """Return the threads' jobs; the first continues with `response`, whose body starts the file."""
        self._active = max(1, min(connections, self._plan.parts))
        span = self._plan.take()
        lead = partial(self._work, response, span, first=True)
        return [lead, *[partial(self._work, first=False)] * (self._active - 1)]

    def _work(self, response: OriginResponse | None = None, span: Span | None = None, *, first: bool) -> None:
        tries = Tries(self._session.limits)
        while not self._plan.complete and not self._session.stopped.is_set():
            try:
                if response is not None and span is not None:
                    self._continue(response, span, tries)
                else:
                    self._fetch_one(tries, first=first)
            except (Changed, Unranged):
                raise
            except OriginError as error:
                if not self._stays(error, tries):
                    return
            response = span = None

    def _stays(self, error: OriginError, tries: Tries) -> bool:
        """Wait before the next try, or leave. The last connection to leave raises the error for good."""
        try:
            self._session.stopped.wait(tries.pause(error))
        except OriginError:
            with self._lock:
                self._active -= 1
                if self._active:
                    return False
            if isinstance(error, _Refused):
                raise Unranged(str(error)) from error
            error.transient = False
            raise
        return True

    def _continue(self, response: OriginResponse, span: Span, tries: Tries) -> None:
        with response, self._plan.working(span):
            if span.position == 0:
                self._receive(response, span, tries)

    def _fetch_one(self, tries: Tries, *, first: bool) -> None:
        slot = self._session.slot(self._target, first=first)
        span = self._plan.take()
        if span is None:
            slot.release()
            self._plan.wait(_PLAN_WAIT_SECONDS)
            return
        with self._plan.working(span):
            asked = (span.position, span.end)
            wanted = {"Range": f"bytes={asked[0]}-{asked[1] - 1}", "If-Range": self._version.validator or ""}
            with self._session.get(self._target, wanted, slot) as response:
                self._check(response, asked)
                self._receive(response, span, tries)

    def _check(self, response: OriginResponse, asked: tuple[int, int]) -> None:
        """Raise unless the response is part of the requested span and of the same version."""
        if response.status == HTTPStatus.OK:
            whole = headers.version(response.headers, headers.length(response.headers))
            self._compare(whole)
            raise Unranged(f"{self._target.host} does not give ranges.")
        if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise Changed(f"{self._target.host} changed the file while it was fetched.")
        if response.status in REFUSES_RANGES:
            raise _Refused(f"{self._target.host} answers {response.status} to a range.")
        response.check_status()
        headers.check_framing(response.headers)
        if headers.coding(response.headers) not in {"", self._version.coding}:  # a part need not repeat it
            raise Changed(f"{self._target.host} changed the file while it was fetched.")
        if not headers.says_piece(response.headers):
            raise Unranged(f"{self._target.host} sends a part of the file without saying which.")
        piece = headers.piece(response.headers)
        version = headers.version(response.headers, piece.size)
        self._compare(version)
        if version.validator not in {self._version.etag, self._version.modified} - {None}:
            # RFC 9110, 15.3.7: a part must repeat the validator. Without it, If-Range may have been ignored.
            raise Unranged(f"{self._target.host} does not say which version of the file a part belongs to.")
        if piece.start != asked[0] or piece.end > asked[1]:
            raise Changed(f"{self._target.host} sends another part of the file than it was asked for.")

    def _compare(self, version: Version) -> None:
        if version.contradicts(self._version):
            raise Changed(f"{self._target.host} changed the file while it was fetched.")

    def _receive(self, response: OriginResponse, span: Span, tries: Tries) -> None:
        """Write what arrives until the span or the response ends, or another fetch needs the slot."""
        end = headers.end(response.headers)
        while span.left > 0 and span.position < end and not response.slot.wanted:
            data = response.read(min(self._chunk, end - span.position))
            if not data:
                raise OriginFailed(f"{self._target.host} ends before the file does.", transient=True)
            offset, wanted = self._plan.claim(span, len(data))
            if wanted:
                self._sink.write_at(offset, data[:wanted])
                self._plan.wrote(wanted)
            tries.succeeded()
            self._heard()
