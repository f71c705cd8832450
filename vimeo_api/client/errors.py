"""What can go wrong, each with a sentence. No sentence has a link, which is a secret."""

from http import HTTPStatus

import requests

# For HEAD, whose errors have no body.
_SENTENCES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "The file is protected; the password is missing or wrong.",
    HTTPStatus.NOT_FOUND: "There is no such file.",
    HTTPStatus.GONE: "The file is gone: it has been downloaded, or its time is over.",
    HTTPStatus.LOCKED: "Another client is downloading the file right now.",
}


class ClientError(Exception):
    """The base of all errors of this package."""


class Unreachable(ClientError):
    """The server cannot be reached, or the connection broke again and again."""


class Unreadable(ClientError):
    """The file to send cannot be read, or changed while it was sent."""


class Exists(ClientError):
    """There is a file where the download is to be saved."""


class InUse(ClientError):
    """Another process is downloading this link into this folder."""


class Damaged(ClientError):
    """The bytes do not have the SHA-256 that the server announced."""


class Refused(ClientError):
    """The server refused the request."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        """Keep the status and the sentence; `retry_after` is in seconds, None if the server does not say."""
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class PasswordRefused(Refused):
    """The password is missing or wrong."""


class NotFound(Refused):
    """There never was such a file."""


class Gone(Refused):
    """The file has been downloaded, removed, or its time is over."""


class Locked(Refused):
    """Another client is downloading the file. Without `retry_after` its owner has to decide what becomes of it."""


_DOWNLOAD_ERRORS: dict[int, type[Refused]] = {
    HTTPStatus.UNAUTHORIZED: PasswordRefused,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.GONE: Gone,
    HTTPStatus.LOCKED: Locked,
}


def upload_refused(response: requests.Response) -> Refused:
    """Return the error for a refused upload."""
    return Refused(response.status_code, _message(response), _retry_after(response))


def download_refused(response: requests.Response) -> Refused:
    """Return the error for a refused download."""
    kind = _DOWNLOAD_ERRORS.get(response.status_code, Refused)
    return kind(response.status_code, _message(response), _retry_after(response))


def _message(response: requests.Response) -> str:
    """Return the server's sentence, or one of ours: the response may be of a proxy."""
    try:
        said = response.json()
    except (requests.RequestException, ValueError):
        said = None
    if isinstance(said, dict) and isinstance(said.get("message"), str):
        return str(said["message"])
    unknown = f"The server answered {response.status_code} {response.reason}."
    if response.is_redirect:
        unknown = f"The server redirects ({response.status_code}); use the address that it redirects to."
    return _SENTENCES.get(response.status_code, unknown)


def _retry_after(response: requests.Response) -> int | None:
    seconds = response.headers.get("Retry-After", "")
    return int(seconds) if seconds.isascii() and seconds.isdigit() else None
