"""Talk to the server: send files, and get them.

A link may lead to any host, so the API token goes only with uploads, and no redirect is followed: it could take a
password elsewhere. Credentials of ~/.netrc are not sent, because the server would take them for a file's password.
"""

import base64
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import unquote, urlsplit

import requests
from requests.auth import AuthBase

from vimeo_api.client.errors import (
    ClientError,
    Exists,
    Gone,
    NotFound,
    Unreachable,
    download_refused,
    upload_refused,
)
from vimeo_api.client.form import Form
from vimeo_api.client.partial_download import Notes, PartialDownload

T = TypeVar("T")

GRANT_HEADER = "X-Download-Grant"
Progress: TypeAlias = Callable[[int, int], None]  # bytes so far and in all

_ADDRESS = "The address must be a complete one, such as https://files.example.org."
_PATH = "/vimeo/api/v1.0/file"
_CHUNK = 64 * 1024  # at most this much is lost when the connection breaks
_TIMEOUT = (10, 120)  # seconds to connect, and without a byte: the server may need long to sync a large file
_PAUSES = (0, 1, 2)  # seconds before another attempt, after one without a byte of progress
_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_TOKEN = re.compile(r"[!-~]+")
_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([0-9A-Za-z+/=]+):")


@dataclass(frozen=True, slots=True)
class Sent:
    """What the server has stored: a file, or several in a zip."""

    url: str  # the link, which works once or `downloads` times
    manage_url: str | None = None  # for the sender only, from servers that have it


class _Broken(Unreachable):
    """The connection broke, or there was none: worth another attempt."""


class _Authorization(AuthBase):
    """Sends this header or none; without it `requests` reads ~/.netrc."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value is not None:
            request.headers["Authorization"] = self._value
        return request


def _ignore(_done: int, _total: int) -> None:
    pass


class Client:
    """A client of one server, such as `https://files.example.org`. Not for several threads at once."""

    def __init__(self, url: str, token: str | None = None) -> None:
        """Take the address and an API token, for servers that want one for uploads. Raises ClientError."""
        if token is not None and not _TOKEN.fullmatch(token):
            raise ClientError("The API token has characters that no token has.")
        self._url = url.rstrip("/")
        self._token = token
        self._session = requests.Session()
        self._session.headers["Accept-Encoding"] = "identity"

    def send(
        self,
        path: str | os.PathLike[str],
        *more: str | os.PathLike[str],
        password: str | None = None,
        expires_in: int | str | None = None,
        downloads: int | None = None,
        notify: str | None = None,
        progress: Progress = _ignore,
    ) -> Sent:
        """Send a file, or several, of which the server makes one zip, and return the link.

        `expires_in` is seconds or a duration such as `7d`. `downloads` is how often the file can be downloaded, once
        by default. `notify` is a URL that gets the receipts.
        Files are read while they are sent. If the connection breaks, they are sent again: the server may then have them
        twice, once under a link that nobody knows. Raises Unreadable, Refused and Unreachable.
        """
        expires = None if expires_in is None else str(expires_in)
        times = None if downloads is None else str(downloads)
        given = {"password": password, "expires_in": expires, "downloads": times, "notify": notify}
        fields = {name: value for name, value in given.items() if value is not None}
        for name, value in fields.items():
            _check_text(value, name)
        response = _retried(lambda: self._put([Path(one) for one in (path, *more)], fields, progress))
        if response.status_code != HTTPStatus.CREATED:
            raise upload_refused(response)
        try:
            said = response.json()
            return Sent(str(said["url"]), said.get("manage_url"))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ClientError("The server's response has no link; is this the right address?") from None

    def get(
        self,
        url: str,
        target: str | os.PathLike[str] = ".",
        *,
        password: str | None = None,
        resume: bool = True,
        force: bool = False,
        progress: Progress = _ignore,
    ) -> Path:
        """Save the file of a link as `target`, or in the folder `target` under its own name; return where.

        The file appears at once and complete. If the connection breaks, the download resumes; if that fails too, what
        came stays in hidden files beside the target for the next call, unless `resume` is False. `force` replaces a
        file. Raises Exists, InUse, Damaged, PasswordRefused, NotFound, Gone, Locked, Refused, Unreachable and OSError.
        """
        target = Path(target)
        folder = target if target.is_dir() else target.parent
        authorization = _basic(password)
        with PartialDownload(url, folder) as download:
            if not resume:
                download.forget()
            try:
                file = target
                if target.is_dir():
                    notes = download.notes or _retried(lambda: self._head(url, authorization))
                    file = folder / notes.name
                # Before the first byte is sent: it may be all of a file that can be had once.
                _check_free(file, force=force)
                self._receive_all(download, url, authorization, progress)
                download.publish(file, force=force)
            except (Gone, NotFound):
                download.remove()  # nobody can complete it
                raise
            except BaseException:
                if not resume:
                    download.remove()
                raise
        return file

    def _put(self, paths: list[Path], fields: dict[str, str], progress: Progress) -> requests.Response:
        bearer = _Authorization(None if self._token is None else f"Bearer {self._token}")
        with closing(Form(paths, fields, progress)) as form, _talking(self._url):
            return self._session.put(
                self._url + _PATH,
                data=form,
                headers={"Content-Type": form.content_type},
                auth=bearer,
                timeout=_TIMEOUT,
                allow_redirects=False,
            )

    def _head(self, url: str, authorization: AuthBase) -> Notes:
        with _talking(url):
            response = self._session.head(url, auth=authorization, timeout=_TIMEOUT, allow_redirects=False)
        if response.status_code != HTTPStatus.OK:
            raise download_refused(response)
        return _notes(response)

    def _receive_all(self, download: PartialDownload, url: str, authorization: AuthBase, progress: Progress) -> None:
        pauses = iter(_PAUSES)
        while not download.complete:
            before = download.received
            try:
                self._receive(download, url, authorization, progress)
            except _Broken:
                if download.received > before:
                    pauses = iter(_PAUSES)
                pause = next(pauses, None)
                if pause is None:
                    raise
                time.sleep(pause)

    def _receive(self, download: PartialDownload, url: str, authorization: AuthBase, progress: Progress) -> None:
        """Receive as much of the missing bytes as comes. Raises _Broken if some are still missing."""
        notes, headers = download.notes, {}
        if notes and notes.grant:
            headers[GRANT_HEADER] = notes.grant
        if notes and notes.etag and download.received:
            headers |= {"Range": f"bytes={download.received}-", "If-Range": notes.etag}
        with _talking(url):
            response = self._session.get(
                url, headers=headers, auth=authorization, timeout=_TIMEOUT, allow_redirects=False, stream=True
            )
        with closing(response):
            if notes and _continues(response, download.received):
                download.note(replace(notes, grant=response.headers.get(GRANT_HEADER, notes.grant)))
            elif response.status_code == HTTPStatus.OK:
                download.begin(_notes(response))
            else:
                with _talking(url):
                    raise download_refused(response)
            size = download.notes.size if download.notes else 0
            progress(download.received, size)
            for chunk in _chunks(response, url):
                download.write(chunk)
                progress(download.received, size)
        if not download.complete:
            raise _Broken("The server sent less than it had announced.")


def _check_free(file: Path, *, force: bool) -> None:
    if os.path.lexists(file) and not (force and file.is_file()):
        raise Exists(f"{file} already exists.")


def _retried(attempt: Callable[[], T]) -> T:
    """Return what an attempt returns; if the connection breaks, try a few more times."""
    for pause in _PAUSES:
        try:
            return attempt()
        except _Broken:
            time.sleep(pause)
    return attempt()


@contextmanager
def _talking(url: str) -> Iterator[None]:
    """Raise our errors for those of `requests`, whose sentences contain the link."""
    host = _host(url)
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise Unreachable(f"There is no safe connection to {host}: its certificate is not valid here.") from error
    except _BROKEN as error:
        raise _Broken(f"{host} cannot be reached, or the connection broke.") from error
    except requests.RequestException as error:
        raise ClientError(_ADDRESS) from error


def _host(url: str) -> str:
    """Return the host and port of a URL, without its credentials. Raises ClientError."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        raise ClientError(_ADDRESS) from None


def _chunks(response: requests.Response, url: str) -> Iterator[bytes]:
    pieces = response.iter_content(_CHUNK)
    while True:
        with _talking(url):
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def _basic(password: str | None) -> _Authorization:
    """Return the password as a header: Basic carries every character (RFC 7617)."""
    if password is None:
        return _Authorization(None)
    _check_text(password, "password")
    return _Authorization(f"Basic {base64.b64encode(f':{password}'.encode()).decode()}")


def _check_text(value: str, name: str) -> None:
    """Raise ClientError for a text that is not UTF-8, as one of a command line may be."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ClientError(f"{name} is not UTF-8.") from None


def _continues(response: requests.Response, received: int) -> bool:
    """Return whether a response continues where the download ended (RFC 9110, 14.4)."""
    return response.status_code == HTTPStatus.PARTIAL_CONTENT and response.headers.get("Content-Range", "").startswith(
        f"bytes {received}-"
    )


def _notes(response: requests.Response) -> Notes:
    length = response.headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit()):
        raise ClientError("The server does not say how long the file is; is this a link to a file?")
    digest = _DIGEST.search(response.headers.get("Repr-Digest", ""))
    return Notes(
        name=safe_name(response.headers.get("Content-Disposition", "")),
        size=int(length),
        etag=response.headers.get("ETag"),
        digest=base64.b64decode(digest[1]).hex() if digest else None,
        grant=response.headers.get(GRANT_HEADER),
    )


def safe_name(disposition: str) -> str:
    """Return the suggested name as one that is safe here: no path, no dot file, no control characters (RFC 6266)."""
    extended = re.search(r"filename\*=UTF-8''([^;\s]+)", disposition, re.IGNORECASE)
    plain = re.search(r'filename="([^"]*)"', disposition)
    name = unquote(extended[1]) if extended else plain[1] if plain else ""
    name = re.sub(r"[\x00-\x1f\x7f]", "_", re.split(r"[/\\]", name)[-1])
    return re.sub(r"^\.", "_", name) or "download"
