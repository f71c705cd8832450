"""A client of the IETF's Resumable Uploads, in this process, and the app behind a fake nginx."""

import base64
import hashlib
import random
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.front import fronted
from tests.inprocess import PROFILES
from vimeo_api.web.resumable import draft

DATA = random.Random(8).randbytes(100_000)
VERSION = {"Upload-Draft-Interop-Version": "8"}


class Client:
    """A client of the draft, in this process."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._client: FlaskClient = app.test_client()

    def begin(self, body: bytes = b"", *, surface: str = "streams", done: bool = False, **headers: str) -> TestResponse:
        sent = {**VERSION, "Upload-Complete": draft.boolean(done), **_named(headers)}
        return self._client.post(f"/uploads/{surface}", data=body, headers=sent)

    def append(
        self, url: str, offset: int, body: bytes, *, done: bool, cut: int | None = None, **headers: str
    ) -> TestResponse:
        fields = {"Upload-Offset": str(offset), "Upload-Complete": draft.boolean(done)}
        sent = {**VERSION, "Content-Type": draft.MEDIA_TYPE, **fields, **_named(headers)}
        environ = {"CONTENT_LENGTH": str(len(body))} | (
            {"wsgi.input_terminated": "1"} if "Transfer_Encoding" in headers else {}
        )
        return self._client.patch(url, data=body[:cut], headers=sent, environ_overrides=environ)

    def at(self, method: str, path: str, body: bytes, *, done: bool, **headers: str) -> TestResponse:
        """Upload at a path of a surface."""
        sent = {**VERSION, "Upload-Complete": draft.boolean(done), **_named(headers)}
        return self._client.open(path, method=method, data=body, headers=sent)

    def ask(self, url: str, method: str = "HEAD") -> TestResponse:
        return self._client.open(url, method=method, headers=VERSION)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def digest(data: bytes, algorithm: str = "sha-256") -> str:
    raw = hashlib.new(algorithm.replace("-", ""), data).digest()
    return f"{algorithm}=:{base64.b64encode(raw).decode()}:"


@pytest.fixture(params=PROFILES, scope="module")
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with fronted(request.param, tmp_path_factory.mktemp("draft") / "data", VIMEO_MAX_BYTES="1MiB") as app:
        yield Client(app)
