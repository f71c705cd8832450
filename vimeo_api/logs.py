"""What is logged, in which form, and under which request id.

A line names the request it was written for, wherever that is: nginx makes the id (`$request_id`), hands it to the
service and writes it into access.log, and messages carry it to the tasks. The embedded server makes its own.
`manage.py`, `wsgi` and `worker` call `configure`.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from celery import Task, signals

from vimeo_api.config import Settings

HEADER = "request_id"  # of messages

_request_id = ContextVar("request_id", default="")


def configure(settings: Settings) -> None:
    """Send what is logged to standard error, in the form of the setting `LOG_FORMAT`.

    Of other packages only warnings: what they say besides may hold addresses with passwords in them, or queries.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("vimeo_api").setLevel(settings.log_level)
    signals.setup_logging.connect(_is_configured)
    signals.task_prerun.connect(_begin_task)
    signals.task_postrun.connect(_end_task)


def _is_configured(**_: object) -> None:
    """Keep Celery, which configures logging unless somebody listens to this signal, from doing so."""


def _begin_task(task: Task, **_: object) -> None:
    """Log under the id of the request that asked for a task; what beat asks for has the message's own."""
    begin(task.request.get(HEADER) or task.request.id or "")


def _end_task(**_: object) -> None:
    end()


def request_id() -> str:
    """Return the id of the request that this thread works for, "" if there is none."""
    return _request_id.get()


def begin(identifier: str) -> None:
    """Log under a request id from here on, in this thread."""
    _request_id.set(identifier)


def end() -> None:
    """Log under no request id any more."""
    _request_id.set("")


@contextmanager
def under(identifier: str) -> Iterator[None]:
    """Log under a request id for the length of the block."""
    token = _request_id.set(identifier)
    try:
        yield
    finally:
        _request_id.reset(token)


class _Text(logging.Formatter):
    """A line for people."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's name
        line = super().formatMessage(record)
        return f"{line} [{request_id()}]" if request_id() else line


class _Json(logging.Formatter):
    """A line that is one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
