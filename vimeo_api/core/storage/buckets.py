"""A bucket of an object store: where it is, how we connect to it, and what its errors mean to an operator.

`object_store` keeps files in it. Source: https://developmentseed.org/obstore/.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from vimeo_api.core.errors import Unavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig  # not there at runtime

_CONNECT_SECONDS, _READ_SECONDS, _REQUEST_SECONDS = 5, 30, 24 * 3600
_RETRIES, _RETRY_SECONDS = 3, 30
_TO_SEND = timedelta(minutes=1)
_BRIEF_SECONDS = 5  # for small requests and answers, and for trying again

_ASKED = re.compile(r"Error performing [A-Z]+ (\S+)")
_STATUS = re.compile(r"status code: (4..|501)")
# A moment later, the same request may succeed: by status, or by the code of S3.
_PASSING = (
    "status code: 408",
    "status code: 409",
    "status code: 425",
    "status code: 429",
    "BadDigest",
    "IncompleteBody",
    "RequestTimeout",
)
_PORTS = {"http": 80, "https": 443}
_ENVIRONMENT = "A variable AWS_… in the environment has a value that is not known: see the documents of obstore."


class Refused(Unavailable):
    """The object store answers, but refuses us until somebody changes a setting."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the objects are, and with what rights we ask for them."""

    name: str
    prefix: str  # of all keys, without slashes at its ends
    endpoint: str  # "" is AWS
    region: str
    path_style: bool  # the bucket is in the path, not in the host
    ca_file: str = ""  # PEM; "" are the certificates that the system trusts
    options: tuple[tuple[str, Any], ...] = ()  # credentials, checksum and encryption, as obstore calls them

    @property
    def origin(self) -> str:
        """The scheme, host and port of all requests."""
        scheme, _, host = (self.endpoint or f"https://s3.{self.region}.amazonaws.com").partition("://")
        return f"{scheme}://{host}" if self.path_style else f"{scheme}://{self.name}.{host}"

    @property
    def address(self) -> str:
        """The address of the bucket itself."""
        return f"{self.origin}/{self.name}" if self.path_style else self.origin

    def client(self, *, brief: bool = False) -> S3Store:
        """Return a new client, with connections of its own; a `brief` one gives up early, for small requests."""
        return self._store(self.address, self.prefix, brief=brief)

    def signed(self, method: Literal["GET", "POST", "DELETE"], key: str, query: Mapping[str, str]) -> str:
        """Return a signed address for a request that obstore has no call for, to be sent within a minute.

        obstore appends a path to any endpoint and signs the whole. Here the endpoint ends with a query, and the path is
        the value of `x-id`, in which programs of AWS say what they ask for and which means nothing.
        """
        endpoint = f"{self.address}/{key}".rstrip("/") + "?" + urlencode({**query, "x-id": ""})
        with self.asking("sign for"):
            return obstore.sign(self._store(endpoint, "", brief=True), method, "request", _TO_SEND)

    def _store(self, address: str, prefix: str, *, brief: bool) -> S3Store:
        connection: ClientConfig = {
            "allow_http": self.origin.startswith("http://"),
            "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=_BRIEF_SECONDS if brief else _READ_SECONDS),
            "timeout": timedelta(seconds=_REQUEST_SECONDS),  # of a whole download
        }
        if self.ca_file:
            connection["root_certificate"] = Path(self.ca_file).read_bytes()
        return S3Store(
            self.name,
            prefix=prefix or None,
            endpoint=address,
            region=self.region,
            virtual_hosted_style_request=True,  # to obstore, this means that the address has the bucket's name already
            client_options=connection,
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=_BRIEF_SECONDS if brief else _RETRY_SECONDS),
            },
            **dict(self.options),
        )

    @contextmanager
    def asking(self, what: str, *, may_be_missing: bool = False) -> Iterator[None]:
        """Raise Unavailable, with a sentence for an operator, if the object store refuses or does not answer.

        `what` completes "failed to … the bucket". An object that may be missing stays FileNotFoundError.
        """
        try:
            yield
        except BaseError as error:
            raise self.error(what, str(error)) from error
        except FileNotFoundError as error:
            if may_be_missing and "NoSuchBucket" not in str(error):
                raise
            raise self.error(what, "NoSuchBucket") from error

    def error(self, what: str, said: str) -> Unavailable:
        """Return the error for what obstore said. It is not quoted, because it may contain secrets."""
        refusal = self._refusal(what, said)
        return Refused(refusal) if refusal else Unavailable(self._failure(what, said))

    def _refusal(self, what: str, said: str) -> str | None:
        """Return a sentence that names the setting that is wrong, None if nobody has to change any."""
        where = f"the bucket {self.name} at {self.origin}"
        if (asked := _ASKED.search(said)) and _server(asked[1]) != _server(
            self.origin
        ):  # that gives credentials to a role
            return f"There are no credentials for {where}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        for words, sentence in (
            ("NoSuchBucket", f"STORE_URL: there is no bucket {self.name} at {self.origin}."),
            ("InvalidAccessKeyId", f"AWS_ACCESS_KEY_ID is not known at {self.origin}."),
            ("SignatureDoesNotMatch", f"AWS_SECRET_ACCESS_KEY does not fit AWS_ACCESS_KEY_ID at {self.origin}."),
            ("AuthorizationHeaderMalformed", f"STORE_REGION is not the region of {where}."),
            ("PermanentRedirect", f"STORE_REGION is not the region of {where}."),
            ("301 Moved", f"STORE_REGION is not the region of {where}."),
            ("RequestTimeTooSkewed", f"The clock of this host differs from that of {self.origin}."),
            ("ExpiredToken", f"The credentials for {where} have expired."),
            ("x-amz-checksum", f"{self.origin} does not know this checksum: set STORE_CHECKSUM=sha256."),
            ("status code: 401", f"STORE_URL: the credentials may not {what} {where}."),
            ("status code: 403", f"STORE_URL: the credentials may not {what} {where}."),
            ("token file", "AWS_WEB_IDENTITY_TOKEN_FILE or AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE cannot be read."),
            ("Generic Config error", _ENVIRONMENT),
            ("Invalid encryption", _ENVIRONMENT),
            ("NotValidForName", f"{self.culprit}: the certificate of {self.origin} is for another name."),
            ("InvalidCertificate(Expired", f"The certificate of {self.origin} has expired."),
            ("InvalidCertificate", f"This host does not trust the certificate of {self.origin}: see STORE_CA_FILE."),
            ("InvalidContentType", f"STORE_ENDPOINT: {self.origin} does not speak HTTPS; try http://."),
            ("Got invalid", f"STORE_ENDPOINT: {self.origin} answers as no object store does."),
            ("HTTPS port", f"STORE_ENDPOINT: {self.origin} speaks HTTPS; try https://."),  # nginx
            ("HTTPS server", f"STORE_ENDPOINT: {self.origin} speaks HTTPS; try https://."),  # programs in Go
        ):
            if words in said:
                return sentence
        if (status := _STATUS.search(said)) and not any(sign in said for sign in _PASSING):
            guess = f"so it is no object store, or does not know a setting{self._perhaps_encryption}"
            return f"STORE_ENDPOINT: {self.origin} answered {status[1]}, {guess}."
        return None

    def _failure(self, what: str, said: str) -> str:
        if "BadDigest" in said:
            return f"{self.origin} received damaged bytes."
        if any(f"status code: {status}" in said for status in (429, 500, 503, 507)):
            return f"{self.origin} is full or overloaded{self._perhaps_encryption}."
        if "error sending request" in said:
            return f"{self.culprit}: nothing answers at {self.origin}."
        return f"{self.origin} failed to {what} the bucket {self.name}."

    @property
    def _perhaps_encryption(self) -> str:
        return ", or does not know STORE_ENCRYPTION" if "server_side_encryption" in dict(self.options) else ""

    @property
    def culprit(self) -> str:
        """The setting that is wrong if the origin is."""
        if not self.endpoint:
            return "STORE_REGION"
        return "STORE_ENDPOINT" if self.path_style else "STORE_ENDPOINT or STORE_PATH_STYLE"


def _server(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or _PORTS.get(parts.scheme)
