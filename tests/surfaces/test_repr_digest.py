"""Digests that a worker adds: shown on every surface soon after the upload, whatever came in."""

import base64
import hashlib
import random
from collections.abc import Callable

import pytest
import requests

from tests.services import Service, await_

CONTENT = random.Random(9).randbytes(300_000)


def stream(service: Service, content: bytes) -> str:
    return f"{service.url}/v1/streams/{requests.post(f'{service.url}/v1/streams', content, timeout=60).json()['id']}"


def named(service: Service, content: bytes) -> str:
    name = f"{random.randrange(10**9)}.pdf"
    requests.post(f"{service.url}/upload/{name}", content, timeout=60).raise_for_status()
    return f"{service.url}/download/{name}"


def transferred(service: Service, content: bytes) -> str:
    files = {"file": ("a.bin", content)}
    file_id = requests.post(f"{service.url}/uploadFile", files=files, timeout=60).json()["file_id"]
    return f"{service.url}/downloadFile?file_id={file_id}"


def one_time(service: Service, content: bytes) -> str:
    return str(requests.put(service.vimeo, files={"file": ("a.bin", content)}, timeout=60).json()["url"])


@pytest.mark.parametrize("upload", [stream, named, transferred, one_time])
@pytest.mark.parametrize("content", [CONTENT, b""], ids=["some", "nothing"])
def test_a_worker_adds_the_digest(service: Service, upload: Callable[[Service, bytes], str], content: bytes) -> None:
    link = upload(service, content)
    # HEAD, for that uses nothing up.
    shown = await_(lambda: requests.head(link, timeout=60).headers.get("Repr-Digest"))
    assert shown == f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"
    assert requests.get(link, timeout=60).content == content
