"""What is logged, in which format, and under which request id.

Every line names its request, in web processes and workers alike: nginx makes the id (`$request_id`), passes it to the
service and writes it to access.log, and Celery messages carry it to the tasks. The embedded server makes its own ids.
`cli`, `wsgi` and `worker` call `configure`.
"""

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from celery import Task, signals

from vimeo_api.config import Settings

HEADER = "request_id"  # of Celery messages

# The same as in nginx's map $vimeo_api_logged.
_LINK = re.compile(
    r"(.*?/(?:vimeo/api/v1\.0/file|v1/(?:streams|joins|queues/[^/]+/streams)|uploadFile|manage)/).+", re.DOTALL
)
_ID = re.compile(r"(.*?/)[^/]*[0-9A-Fa-f-]{32}.*", re.DOTALL)

Event = dict[str, Any]  # action, surface, file's id, bytes and the like

_events: ContextVar[list[Event] | None] = ContextVar("events", default=None)
_events_log = logging.getLogger("vimeo_api.events")
_request_id = ContextVar("request_id", default="")


def configure(settings: Settings) -> None:
    """Log to standard error, in the format of the setting `LOG_FORMAT`.

    Other packages log warnings only: their other lines may hold queries, or URLs with passwords.
    """
    # Our lines do not name caller, thread and process, so none has to find them out (Logging HOWTO, "Optimization").
    logging._srcfile = None  # noqa: SLF001 -- the HOWTO says to
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    global _event_line  # noqa: PLW0603 -- one for the process, as the handlers are
    _event_line = _json_event if settings.log_format == "json" else _text_event
    handler = _Stderr()
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("vimeo_api").setLevel(settings.log_level)
    signals.setup_logging.connect(_is_configured)
    signals.task_prerun.connect(_begin_task)
    signals.task_postrun.connect(_end_task)


def _is_configured(**_: object) -> None:
    """Do nothing: a listener on this signal keeps Celery from configuring logging itself."""


def _begin_task(task: Task, **_: object) -> None:
    """Log under the id of the request that enqueued the task; beat's tasks use the id of their message."""
    begin(task.request.get(HEADER) or task.request.id or "")


def _end_task(**_: object) -> None:
    end()


def masked(path: str) -> str:
    """Return a path for logs, without what makes it the link of a file or the id of a stream."""
    if path.startswith(("/upload/", "/download/")):
        return path
    link = _LINK.fullmatch(path) or _ID.fullmatch(path)
    return f"{link[1]}***" if link else path


def note(action: str, **details: object) -> None:
    """Note what happened to a file or token: one line in the log, at the end of the request if there is one.

    Nothing in it may be a link, a name of a file or another secret: a file has its row's id.
    """
    event = {"action": action, **details}
    collected = _events.get()
    if collected is None:
        log_event(event)
    else:
        collected.append(event)


def collect() -> None:
    """Keep what is noted in this thread from now on, for `collected`."""
    _events.set([])


def collected() -> list[Event]:
    """Return what was noted since `collect`, and log at once from now on."""
    events = _events.get() or []
    _events.set(None)
    return events


def log_event(event: Event) -> None:
    """Log an event: its details are fields of their own in JSON, and `name=value` in text.

    It is logged at INFO, but its line is written here: `logging` took a twelfth of a first GET (docs/decisions/0011).
    """
    if _events_log.isEnabledFor(logging.INFO):
        known = {name: value for name, value in event.items() if value is not None}
        with suppress(OSError):  # a full disk; `logging` ignores it, too
            write(_event_line(known))


def write(line: str) -> None:
    """Write a line to standard error by one system call, so that threads need no lock. Raises OSError."""
    os.write(2, f"{line}\n".encode(errors="backslashreplace"))


def request_id() -> str:
    """Return the id of the request that this thread works on, "" if there is none."""
    return _request_id.get()


def begin(identifier: str) -> None:
    """Log under a request id from now on, in this thread."""
    _request_id.set(identifier)


def end() -> None:
    """Stop logging under a request id, in this thread."""
    _request_id.set("")


@contextmanager
def under(identifier: str) -> Iterator[None]:
    """Log under a request id for the length of the block."""
    token = _request_id.set(identifier)
    try:
        yield
    finally:
        _request_id.reset(token)


class _Stderr(logging.Handler):
    """Writes each record by `write`."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record; the library's own method would hold a lock meanwhile."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            write(self.format(record))
        except Exception:  # noqa: BLE001 -- as the library's handlers do
            self.handleError(record)


class _Text(logging.Formatter):
    """A line for people."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's name
        return _under_id(super().formatMessage(record))


class _Json(logging.Formatter):
    """A line that is one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        line = _json_line(record.created, record.levelname, record.name, record.getMessage())
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _json_line(moment: float, level: str, logger: str, message: str) -> dict[str, Any]:
    return {
        "time": datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "logger": logger,
        "message": message,
        "request_id": request_id(),
    }


def _json_event(event: Event) -> str:
    return json.dumps(_json_line(time.time(), "INFO", _events_log.name, event["action"]) | event)


def _text_event(event: Event) -> str:
    words = (f"{name}={value!r}" if isinstance(value, str) else f"{name}={value}" for name, value in event.items())
    return _under_id(f"INFO {_events_log.name}: {' '.join(words)}")


def _under_id(line: str) -> str:
    return f"{line} [{request_id()}]" if request_id() else line


_event_line: Callable[[Event], str] = _text_event
