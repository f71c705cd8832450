"""What users do during an outage."""

from typing import Any

import requests

from tests.services import Service, await_

PATIENCE = 60  # seconds


def upload(service: Service, content: bytes = b"content") -> requests.Response:
    """Upload a stream."""
    return requests.post(f"{service.url}/v1/streams", data=content, timeout=PATIENCE)


def stream(service: Service, content: bytes = b"content") -> str:
    """Upload a stream, and return its URL."""
    answer = upload(service, content)
    assert answer.status_code == 201, answer.text
    return f"{service.url}/v1/streams/{answer.json()['id']}"


def put(service: Service, content: bytes = b"content", **data: str) -> requests.Response:
    """Upload a one-time file."""
    return requests.put(service.vimeo, files={"file": ("report.xls", content)}, data=data, timeout=PATIENCE)


def link(service: Service, content: bytes = b"content", **data: str) -> str:
    """Upload a one-time file, and return its link."""
    answer = put(service, content, **data)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["url"])


def get(url: str, **options: Any) -> requests.Response:
    """Download."""
    return requests.get(url, timeout=PATIENCE, **options)


def get_unless(status: int, url: str, **options: Any) -> requests.Response:
    """Download, again and again while the response has a status."""
    # In a list, because a refusing response is falsy.
    return await_(lambda: [answer for answer in [get(url, **options)] if answer.status_code != status], PATIENCE)[0]


def delete(url: str) -> requests.Response:
    """Delete."""
    return requests.delete(url, timeout=PATIENCE)


def refused_for_now(answer: requests.Response) -> bool:
    """Return whether a response says to try again later."""
    return answer.status_code == requests.codes.service_unavailable and bool(answer.headers.get("Retry-After"))
