"""A client of tus 1.0.0 for an app in this process, and what lies on the disk behind it."""

import base64
import hashlib
import json
import random
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from vimeo_api.core.resumable import adoption, expiry, rows
from vimeo_api.web.resumable import tus

DATA = random.Random(15).randbytes(300_000)
TUS = {"Tus-Resumable": "1.0.0"}
# Fields of an upload to each surface, and what its answer has: the status, and words.
ANSWERS = {
    "vimeo": (
        {"filename": "one.bin", "expires_in": "600"},
        201,
        '"status": "File Uploaded Successfully", "url": "http',
    ),
    "streams": ({"filename": "x", "queue": "q"}, 201, '"status":"created"'),
    "store": ({}, 200, hashlib.sha256(DATA).hexdigest()),
    "named": ({"filename": "report.pdf"}, 201, "report.pdf uploaded"),
    "transfer": ({"filename": "any.thing"}, 200, '"file_id":"'),
}


def described(**pairs: str) -> dict[str, str]:
    return {"Upload-Metadata": ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in pairs.items())}


def begin(
    client: FlaskClient,
    surface: str = "streams",
    *,
    length: int | None = len(DATA),
    headers: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Begin an upload by tus and return its path."""
    size = {} if length is None else {"Upload-Length": str(length)}
    response = client.post(f"/uploads/{surface}", headers={**TUS, **size, **headers})
    assert response.status_code == 201, response.text
    return response.headers["Location"].removeprefix("http://localhost")


def patch(
    client: FlaskClient,
    url: str,
    offset: int,
    body: bytes,
    *,
    cut: int | None = None,
    killed: bool = False,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> TestResponse:
    """Append by tus; the client hangs up after `cut` bytes."""
    environ = {"CONTENT_LENGTH": str(len(body)), **({"test.killed": "1"} if killed else {})}
    kind = {"Content-Type": tus.MEDIA_TYPE, "Upload-Offset": str(offset)}
    sent = body if cut is None else body[:cut]
    return client.patch(url, data=sent, headers={**TUS, **kind, **headers}, environ_overrides=environ)


def offset_of(client: FlaskClient, url: str) -> int:
    response = client.head(url, headers=TUS)
    assert response.status_code == 204, response.text
    return int(response.headers["Upload-Offset"])


def left(app: Flask) -> set[str]:
    """Return what is in the spool without an upload, once the log has been read."""
    with app.app_context():
        adoption.catch_up()
        parts_left = {path.name for path in expiry.leftovers()}
    spool: Path = app.config["SETTINGS"].spool_dir
    return parts_left | {path.name for path in spool.iterdir() if path.name.isdigit()}


def served(app: Flask, path: str, **headers: str) -> bytes:
    """Download a file; in production nginx would send the one that the response names."""
    response = app.test_client().get(path, headers=headers)
    assert response.status_code == 200, response.text
    if (place := response.headers.get("X-Accel-Redirect")) is None:
        return bytes(response.data)
    return Path(app.config["SETTINGS"].store_dir, *place.split("/")[3:]).read_bytes()


def row_of(client: FlaskClient, url: str) -> rows.Upload:
    with client.application.app_context():
        upload = rows.find(url.rpartition("/")[2])
    assert upload is not None
    return upload


def stream_of(response: TestResponse) -> str:
    return str(json.loads(unquote(response.headers["Upload-Result"]))["id"])
