"""Questions to services that may never answer: each runs on its own thread and times out.

A hanging thread cannot be ended, so each question has at most one: asking again meanwhile waits for the same answer.
`readiness` and `web.monitoring.gauges` ask.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vimeo_api.core.errors import Unavailable
from vimeo_api.extensions import in_app

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finding(Generic[T]):
    """The result of a question: a value, or a few words on why there is none, and the seconds that it took."""

    value: T | None
    trouble: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether there was an answer."""
        return not self.trouble


@dataclass(frozen=True, slots=True)
class _Answer(Generic[T]):
    value: T
    seconds: float


class Probe(Generic[T]):
    """A question, and how many seconds it may take."""

    def __init__(self, question: Callable[[], T], *, seconds: float) -> None:
        """Ask by calling `question` inside the app's context."""
        self.seconds = seconds
        self._question = question
        self._asked: Future[_Answer[T]] | None = None
        self._lock = threading.Lock()

    def ask(self) -> "Future[_Answer[T]]":
        """Return the future answer; a question that is still running is not asked twice."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                threading.Thread(target=in_app(self._run), args=(self._asked,), daemon=True).start()
            return self._asked

    def _run(self, asked: "Future[_Answer[T]]") -> None:
        begun = time.monotonic()
        try:
            value = self._question()
        except Exception as error:  # noqa: BLE001 -- raised where the future is read
            asked.set_exception(error)
        else:
            asked.set_result(_Answer(value, time.monotonic() - begun))


def ask(probes: Mapping[str, Probe[Any]]) -> dict[str, Finding[Any]]:
    """Ask several questions at once and return their findings; takes at most the longest timeout."""
    begun = time.monotonic()
    asked = [(name, probe, probe.ask()) for name, probe in probes.items()]
    return {name: _finding(probe, answer, begun) for name, probe, answer in asked}


def _finding(probe: Probe[T], asked: "Future[_Answer[T]]", begun: float) -> Finding[T]:
    try:
        answer = asked.result(timeout=max(0, begun + probe.seconds - time.monotonic()))
    except TimeoutError:
        return Finding(None, f"no answer within {probe.seconds} s", probe.seconds)
    except Exception as error:  # noqa: BLE001 -- any kind; its message may hold secrets
        return Finding(None, _public_message(error), time.monotonic() - begun)
    return Finding(answer.value, "", answer.seconds)


def _public_message(error: Exception) -> str:
    """Return what may be shown of an error: our message or the system's, else its type."""
    if isinstance(error, Unavailable):
        return str(error)
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
