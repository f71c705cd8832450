"""Questions to services that may never answer: each is asked on a thread of its own and given up on after a while.

A thread that hangs cannot be ended, so there is one at most for each question: who asks again meanwhile waits for the
same answer. `readiness` and `web.metrics` ask.
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
    """What came of a question: a value, or in a few words why there is none; and after how many seconds."""

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
        """Return the answer to come, of whoever asked first."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                threading.Thread(target=in_app(self._run), args=(self._asked,), daemon=True).start()
            return self._asked

    def _run(self, asked: "Future[_Answer[T]]") -> None:
        begun = time.monotonic()
        try:
            value = self._question()
        except Exception as error:  # noqa: BLE001 -- whoever waits is told
            asked.set_exception(error)
        else:
            asked.set_result(_Answer(value, time.monotonic() - begun))


def ask(probes: Mapping[str, Probe[Any]]) -> dict[str, Finding[Any]]:
    """Ask several questions at once; return what came of each, after the longest time that one may take."""
    begun = time.monotonic()
    asked = [(name, probe, probe.ask()) for name, probe in probes.items()]
    return {name: _finding(probe, answer, begun) for name, probe, answer in asked}


def _finding(probe: Probe[T], asked: "Future[_Answer[T]]", begun: float) -> Finding[T]:
    try:
        answer = asked.result(timeout=max(0, begun + probe.seconds - time.monotonic()))
    except TimeoutError:
        return Finding(None, f"no answer within {probe.seconds} s", probe.seconds)
    except Exception as error:  # noqa: BLE001 -- of whatever kind; its own words may hold what is nobody's business
        return Finding(None, _said(error), time.monotonic() - begun)
    return Finding(answer.value, "", answer.seconds)


def _said(error: Exception) -> str:
    """Return what may be told of an error: what we or the system say of it, else its kind."""
    if isinstance(error, Unavailable):
        return str(error)
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
