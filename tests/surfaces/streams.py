"""A client of the surface `streams`."""

import requests

from tests.services import Service


def create(service: Service, content: bytes, **kwargs: object) -> str:
    answer = requests.post(f"{service.url}/v1/streams", data=content, timeout=60, **kwargs)  # type: ignore[arg-type]
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def url(service: Service, key: str) -> str:
    return f"{service.url}/v1/streams/{key}"
