"""Errors as HTTP: one table from exceptions to statuses; each surface words the rest in its own dialect."""

import logging
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from vimeo_api.core import errors
from vimeo_api.core.database.models import Failure
from vimeo_api.core.fetching import ssrf
from vimeo_api.core.storage.folders import FULL
from vimeo_api.web import pages

_log = logging.getLogger(__name__)

STATUSES: dict[type[Exception], HTTPStatus] = {
    errors.Malformed: HTTPStatus.BAD_REQUEST,
    errors.DigestMismatch: HTTPStatus.BAD_REQUEST,
    errors.WrongPassword: HTTPStatus.UNAUTHORIZED,
    errors.TokenNeeded: HTTPStatus.UNAUTHORIZED,
    errors.NotAllowed: HTTPStatus.FORBIDDEN,
    errors.TurnedOff: HTTPStatus.FORBIDDEN,
    errors.Final: HTTPStatus.FORBIDDEN,
    errors.QuotaExceeded: HTTPStatus.FORBIDDEN,
    errors.TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Gone: HTTPStatus.GONE,
    errors.Exists: HTTPStatus.CONFLICT,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.Locked: HTTPStatus.LOCKED,
    errors.InDoubt: HTTPStatus.LOCKED,
    errors.StorageFull: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.StillFetching: HTTPStatus.TOO_EARLY,
    ssrf.AddressRefused: HTTPStatus.FORBIDDEN,
    ssrf.UrlRefused: HTTPStatus.BAD_REQUEST,
    # The database is down or restarting; its message may quote parameters, so clients do not see it.
    DBAPIError: HTTPStatus.SERVICE_UNAVAILABLE,
    PoolTimeout: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    # The disk fails (EIO), a folder is not there or not ours, or too many files are open.
    OSError: HTTPStatus.SERVICE_UNAVAILABLE,
}


CHALLENGE = 'Bearer realm="vimeo_api"'
ASKING = 'Basic realm="API token", charset="UTF-8"'  # makes a browser ask for it

# The status of a file whose fetch failed.
FAILURES: dict[str, HTTPStatus] = {
    Failure.REFUSED: HTTPStatus.BAD_REQUEST,
    Failure.ADDRESS: HTTPStatus.FORBIDDEN,
    Failure.ORIGIN: HTTPStatus.BAD_GATEWAY,
    Failure.SLOW: HTTPStatus.GATEWAY_TIMEOUT,
    Failure.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Failure.FULL: HTTPStatus.INSUFFICIENT_STORAGE,
    Failure.SOURCE: HTTPStatus.NOT_FOUND,
    Failure.MISMATCH: HTTPStatus.BAD_GATEWAY,
    Failure.CANCELLED: HTTPStatus.GONE,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What a surface needs to word an error."""

    status: int
    reason: str  # a sentence, or "" if the status says it all
    headers: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)  # what a JSON surface may add

    @property
    def phrase(self) -> str:
        """The standard name of the status."""
        return HTTPStatus(self.status).phrase


def from_exception(error: Exception) -> Problem:
    """Return the problem that an exception means to the client; an unknown exception is logged and a 500."""
    if isinstance(error, HTTPException):
        return _from_http(error)
    if isinstance(error, errors.FetchFailed):
        return Problem(FAILURES[error.failure], str(error))
    if isinstance(error, OSError) and error.errno in FULL:
        error = errors.StorageFull(error.strerror)  # wherever it happened
    for kind, status in STATUSES.items():
        if isinstance(error, kind):
            return _from_known(error, status)
    _log.error("unexpected error", exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "")


def _from_known(error: Exception, status: HTTPStatus) -> Problem:
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        _log_unavailable(error)
        return Problem(status, "", {"Retry-After": "2"})
    headers, details = _challenge(error), {}
    if isinstance(error, errors.Locked | errors.TooMany):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, errors.StillFetching):
        headers["Retry-After"] = "1"
        details = error.progress
    if isinstance(error, errors.WrongOffset):
        headers["Upload-Offset"] = str(error.offset)
        details = {"type": "mismatching-upload-offset", "expected-offset": error.offset}
    if isinstance(error, errors.Inconsistent):
        details = {"type": "inconsistent-upload-length"}
    if isinstance(error, errors.PipelineError) and not error.lasting:
        headers["Cache-Control"] = "no-store"
    return Problem(status, str(error), headers, details)


def _challenge(error: Exception) -> dict[str, str]:
    """Return the challenge for a request that needs an API token (RFC 6750, section 3; RFC 7617)."""
    if isinstance(error, errors.TokenNeeded):
        if not pages.wants_json(default=True):
            return {"WWW-Authenticate": ASKING}
        return {"WWW-Authenticate": CHALLENGE + (', error="invalid_token"' if error.shown else "")}
    if isinstance(error, errors.NotAllowed):
        return {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{error.scope}"'}
    return {}


def _log_unavailable(error: Exception) -> None:
    if isinstance(error, OSError):
        _log.error("unavailable: %s", error.strerror or type(error).__name__, exc_info=error)
    else:
        said = error if isinstance(error, errors.Unavailable) else type(error).__name__
        _log.warning("unavailable: %s", said)


def _from_http(error: HTTPException) -> Problem:
    kept = {name: value for name, value in error.get_headers() if name not in {"Content-Type", "Content-Length"}}
    return Problem(error.code or HTTPStatus.INTERNAL_SERVER_ERROR, error.description or "", kept)
