"""Files with an expiry: gone for everyone at that time, and their bytes soon after."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from werkzeug.test import TestResponse

from tests.inprocess import PROFILES, Clock, made, stored, sweep
from tests.services import Service, await_

NAME = "brief.xls"


@dataclass(frozen=True)
class Upload:
    """How to upload to a surface, where the file is then, and what the surface answers once it has expired."""

    method: str
    path: str
    link: str  # with fields of the answer, or the name
    form: bool = False
    after: int = 404


UPLOADS = {
    "vimeo": Upload("PUT", "/vimeo/api/v1.0/file", "{url}", form=True, after=410),
    "streams": Upload("POST", "/v1/streams", "/v1/streams/{id}"),
    "queue": Upload("POST", "/v1/queues/q/streams", "/v1/streams/{id}"),
    "named": Upload("POST", "/upload/{name}", "/download/{name}"),
    "form": Upload("POST", "/upload", "/download/{name}", form=True),
    "transfer": Upload("POST", "/uploadFile", "/downloadFile?file_id={file_id}", form=True),
}


def upload(app: Flask, surface: str, seconds: object, name: str = NAME) -> TestResponse:
    """Store a file that expires after some seconds."""
    how = UPLOADS[surface]
    asked: dict[str, Any] = {"query_string": {"expires_in": seconds}, "data": b"brief"}
    if how.form:
        asked = {"data": {"expires_in": str(seconds), "file": (io.BytesIO(b"brief"), name)}}
    return app.test_client().open(how.path.format(name=name), method=how.method, **asked)


def link_to(surface: str, name: str, answer: Any) -> str:
    """Return the path of a file from the response to its upload."""
    found = urlsplit(UPLOADS[surface].link.format(name=name, **(answer or {})))
    return f"{found.path}?{found.query}"


def status(app: Flask, path: str) -> int:
    return app.test_client().head(path).status_code


def refusal(link: str) -> int | None:
    """Return the status with which the real service refuses a file, None while it does not."""
    status = requests.head(link, timeout=60).status_code
    return None if status == 200 else status


def content(app: Flask) -> str:
    """Store content where it is found by its hash, and return its path."""
    return f"/?file_hash={app.test_client().post('/', data=b'store').text}"


@pytest.fixture(params=PROFILES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """The app; the surface `store` keeps nothing for long."""
    with made(request.param, tmp_path / "data", STORE_EXPIRES_SECONDS="300", NAMED_EXPIRES_SECONDS="3600") as app:
        yield app


@pytest.mark.parametrize("surface", UPLOADS)
def test_a_file_is_gone_once_it_expires(app: Flask, clock: Clock, surface: str) -> None:
    for seconds in (300, 400):  # the second under the key of the first, where clients choose it
        answer = upload(app, surface, seconds)
        assert answer.status_code in {200, 201, 302}
        path = link_to(surface, NAME, answer.get_json(silent=True))
        clock.forward(seconds - 10)
        assert status(app, path) == 200
        clock.forward(10)
        assert status(app, path) == UPLOADS[surface].after
        assert NAME not in app.test_client().get("/download").text
        assert app.test_client().get("/v1/queues/q/first").status_code == 404
        sweep(app)
        assert stored(app) == set()
        assert status(app, path) == UPLOADS[surface].after


def test_nginx_caches_no_response_beyond_the_expiry_of_the_file(inprocess: Flask, clock: Clock) -> None:
    path = link_to("streams", NAME, upload(inprocess, "streams", 300).json)
    clock.forward(200)
    if inprocess.config["SETTINGS"].behind_nginx:
        until = inprocess.test_client().get(path).headers["X-Accel-Expires"].removeprefix("@")
        assert 90 <= int(until) - clock.now(UTC).timestamp() <= 99  # nginx uses it until that second is over


def test_a_surface_may_limit_how_long_files_are_kept(app: Flask, clock: Clock) -> None:
    path = content(app)
    for _ in range(2):
        clock.forward(290)
        assert status(app, path) == 200
        clock.forward(10)
        assert status(app, path) == 404
        assert content(app) == path
    clock.forward(300)
    sweep(app)
    assert stored(app) == set()


def test_storing_content_again_postpones_its_expiry(app: Flask, clock: Clock) -> None:
    for _ in range(3):
        path = content(app)
        clock.forward(200)
        assert status(app, path) == 200


@pytest.mark.parametrize("surface", UPLOADS)
@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "1.5", "", "٣", "9999999999"])
def test_an_invalid_expiry_is_refused(inprocess: Flask, surface: str, seconds: str) -> None:
    assert upload(inprocess, surface, seconds).status_code == 400


@pytest.mark.parametrize("surface", UPLOADS)
def test_it_may_come_in_the_query_of_any_upload_and_once_only(inprocess: Flask, clock: Clock, surface: str) -> None:
    how, client, name = UPLOADS[surface], inprocess.test_client(), f"{token_hex(8)}.xls"

    def sent(query: str, **fields: str) -> TestResponse:
        data = {**fields, "file": (io.BytesIO(b"brief"), name)} if how.form else b"brief"
        return client.open(how.path.format(name=name), method=how.method, query_string=query, data=data)

    assert sent("expires_in=300&expires_in=400").status_code == 400
    if how.form:
        assert sent("expires_in=300", expires_in="400").status_code == 400
    answer = sent("expires_in=5m", expires_in="300") if how.form else sent("expires_in=5m&expires_in=300")
    path = link_to(surface, name, answer.get_json(silent=True))
    assert status(inprocess, path) == 200
    clock.forward(300)
    assert status(inprocess, path) == how.after


def test_workers_remove_expired_files(service: Service) -> None:
    before = service.stored()
    links = {}
    for surface, how in UPLOADS.items():
        name, seconds = f"{token_hex(8)}.xls", {"expires_in": "4"}
        asked: dict[str, Any] = {"params": seconds, "data": b"brief"}
        if how.form:
            asked = {"data": seconds, "files": {"file": (name, b"brief")}}
        url = service.url + how.path.format(name=name)
        answer = requests.request(how.method, url, timeout=60, allow_redirects=False, **asked)
        assert answer.status_code in {200, 201, 302}
        links[surface] = service.url + link_to(
            surface, name, answer.json() if "json" in answer.headers["Content-Type"] else None
        )
        requests.head(links[surface], timeout=60)  # from now on nginx may know it
    mine = service.stored() - before
    for surface, link in links.items():
        assert await_(partial(refusal, link)) == UPLOADS[surface].after
    await_(lambda: not service.stored() & mine)
