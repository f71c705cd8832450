"""A client of the surface `vimeo`."""

import re

import requests

from tests.services import Service, unlocked

MIB = 1024**2
PASSWORD = "hello world"


def put(
    service: Service, content: bytes, *, name: str = "report.xls", password: str | None = None, **fields: str
) -> str:
    """Upload as the example of its document does, and return the link."""
    data = fields | ({"password": password} if password is not None else {})
    answer = requests.put(service.vimeo, files={"file": (name, content)}, data=data, timeout=60)
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "File Uploaded Successfully"
    return str(answer.json()["url"])


def get(link: str, **kwargs: object) -> requests.Response:
    return requests.get(link, timeout=60, **kwargs)  # type: ignore[arg-type]


def gone(link: str, **kwargs: object) -> None:
    """Fail unless a file is used up once nobody holds its lease."""
    refused(unlocked(link, **kwargs), 410, "Gone")


def refused(answer: requests.Response, status: int, phrase: str) -> None:
    said = answer.json()
    assert (answer.status_code, said.get("error"), list(said)) == (status, phrase, ["error", "message"])
    assert re.fullmatch(r"\w.*\.", said["message"]), said
    assert answer.headers["Content-Type"] == "application/json"
