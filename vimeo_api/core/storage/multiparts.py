"""Multipart uploads that killed workers have left in a bucket: they are no objects, but their parts cost space.

obstore has no call for them; `object_store` calls this. Sources: ListMultipartUploads and AbortMultipartUpload in the
S3 API reference.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Literal
from xml.etree import ElementTree as ET

import urllib3

from vimeo_api.core.errors import Unavailable
from vimeo_api.core.storage.buckets import Bucket

_TIMEOUT = urllib3.Timeout(connect=5, read=30)
_PAGE = "1000"  # uploads in one response, the most that S3 gives
_NEXT = {"key-marker": "{*}NextKeyMarker", "upload-id-marker": "{*}NextUploadIdMarker"}


@dataclass(frozen=True, slots=True)
class Multipart:
    """A multipart upload that was begun and neither completed nor aborted."""

    key: str  # of its object, with the bucket's prefix
    upload_id: str
    begun_at: datetime


def listing(bucket: Bucket) -> Iterator[Multipart]:
    """Yield those below the prefix. Raises Unavailable."""
    asked = {"uploads": "", "prefix": f"{bucket.prefix}/".lstrip("/"), "max-uploads": _PAGE}
    while True:
        page = ET.fromstring(_response(bucket, "list", "GET", "", asked))  # noqa: S314 -- of our own object store
        for one in page.iterfind("{*}Upload"):
            begun_at = datetime.fromisoformat(one.findtext("{*}Initiated", ""))
            yield Multipart(one.findtext("{*}Key", ""), one.findtext("{*}UploadId", ""), begun_at)
        if page.findtext("{*}IsTruncated") != "true":
            return
        asked |= {name: page.findtext(path, "") for name, path in _NEXT.items()}


def abort(bucket: Bucket, multipart: Multipart) -> None:
    """Remove the parts. An upload that has ended meanwhile is no error. Raises Unavailable."""
    _response(bucket, "delete from", "DELETE", multipart.key, {"uploadId": multipart.upload_id})


def _response(bucket: Bucket, what: str, method: Literal["GET", "DELETE"], key: str, query: Mapping[str, str]) -> bytes:
    """Return the body of a response. Raises Unavailable; `what` is as in `Bucket.asking`."""
    url = bucket.signed(method, key, query)
    with urllib3.PoolManager(ca_certs=bucket.ca_file or None, retries=False, timeout=_TIMEOUT) as pool:
        try:
            response = pool.request(method, url)
        except urllib3.exceptions.HTTPError:
            raise Unavailable(f"STORE_ENDPOINT: nothing answers at {bucket.origin}.") from None  # it has the address
    gone = method == "DELETE" and response.status == HTTPStatus.NOT_FOUND
    if not gone and response.status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
        said = response.data.decode(errors="replace")
        raise bucket.error(what, f"status code: {response.status} {said}")
    return response.data
