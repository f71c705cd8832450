"""A bucket of an object store: where it is, how we connect to it, and what its errors mean to an operator.

`object_store` keeps files in it. Source: https://developmentseed.org/obstore/.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError
from obstore.store import S3Store

from vimeo_api.core.errors import Unavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig  # not there at runtime

_CONNECT_SECONDS, _READ_SECONDS, _REQUEST_SECONDS = 5, 30, 24 * 3600
_RETRIES, _RETRY_SECONDS = 3, 30
_BRIEF_SECONDS = 5  # for small requests and answers, and for trying again


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

    def client(self, *, brief: bool = False) -> S3Store:
        """Return a new client, with connections of its own; a `brief` one gives up early, for small requests."""
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
            prefix=self.prefix or None,
            endpoint=self.origin,
            region=self.region,
            virtual_hosted_style_request=not self.path_style,
            client_options=connection,
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=_BRIEF_SECONDS if brief else _RETRY_SECONDS),
            },
            **dict(self.options),
        )

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Raise Unavailable, with a sentence for an operator, if the object store refuses or does not answer.

        `what` completes "failed to … the bucket". A missing object stays FileNotFoundError.
        """
        try:
            yield
        except BaseError as error:
            raise self._error(what, str(error)) from error
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._error(what, str(error)) from error
            raise

    def _error(self, what: str, said: str) -> Unavailable:
        """Return the error for what the object store said. It is not quoted, because it may contain secrets."""
        where = f"the bucket {self.name} at {self.origin}"
        no_credentials = f"There are no credentials for {where}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
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
            ("403 Forbidden", f"The credentials may not {what} {where}."),
            ("169.254.169.254", no_credentials),
            ("InvalidCertificate", f"This host does not trust the certificate of {self.origin}: see STORE_CA_FILE."),
        ):
            if words in said:
                return Refused(sentence)
        if "BadDigest" in said:
            return Unavailable(f"{self.origin} received damaged bytes.")
        if any(f"status code: {status}" in said for status in (429, 500, 503, 507)):
            return Unavailable(f"{self.origin} is full or overloaded.")
        if "error sending request" in said:
            return Unavailable(f"STORE_ENDPOINT: nothing answers at {self.origin}.")
        return Unavailable(f"{self.origin} failed to {what} the bucket {self.name}.")
