"""A failing disk: unreadable and unwritable files get 503 and a log line, and no response is false."""

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from tests.outages.disks import Shaky
from tests.outages.requesting import get, refused_for_now, stream
from tests.services import await_
from vimeo_api.core.errors import StorageFull, Unavailable
from vimeo_api.core.files import lifecycle
from vimeo_api.core.maintenance import sweep
from vimeo_api.extensions import reservations

ROW = "the disk, which fails or turns read-only"


def failing(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, number: int) -> None:
    """Let a system call fail, as on a broken disk."""

    def fail(*_args: Any, **_words: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(owner, name, fail)


@pytest.mark.parametrize("said", [(errno.EIO, 503), (errno.EROFS, 503), (errno.ENOSPC, 507)])
@pytest.mark.parametrize("call", [(os, "fsync"), (os, "write"), (Path, "hardlink_to"), (Path, "mkdir")])
def test_an_upload_that_fails_is_refused_and_leaves_nothing(
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    call: tuple[object, str],
    said: tuple[int, int],
) -> None:
    (number, status), client = said, app.test_client()
    client.post("/v1/streams", data=b"first")
    failing(monkeypatch, *call, number)
    answer = client.post("/v1/streams", data=b"content")
    assert answer.status_code == status
    assert bool(answer.headers.get("Retry-After")) is (status == 503)
    assert (os.strerror(number) in caplog.text) is (status == 503)
    spool = app.config["SETTINGS"].spool_dir
    assert [path for path in spool.iterdir() if path.is_file()] == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(errno.EIO, "broken"), 503),
        (Unavailable("a lock"), 503),
        (OperationalError("SELECT", {}, Exception("away")), 503),
        (StorageFull("full"), 507),
    ],
    ids=["disk", "lock", "database", "full"],
)
def test_nginx_is_told_before_the_first_byte_why_an_upload_cannot_be(
    app: Flask, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(reservations, "reserve", fail)
    asked = {"X_ADMIT": "1", "X_ANNOUNCED": "1", "X_METHOD": "POST", "X_PATH": "/v1/streams", "X_REQUEST_ID": "0" * 32}
    assert app.test_client().head("/_admit", environ_base=asked).status_code == status


def test_bytes_that_cannot_be_removed_are_due_again(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = app.test_client()
    urls = [f"/v1/streams/{client.post('/v1/streams', data=b'x').get_json()['id']}" for _ in range(2)]
    store = app.config["SETTINGS"].store_dir
    with monkeypatch.context() as broken:
        failing(broken, Path, "unlink", errno.EIO)
        assert [client.delete(url).status_code for url in urls] == [200, 200]
        assert [client.get(url).status_code for url in urls] == [404, 404]
    assert len(list(store.glob("streams/*/*"))) == 2
    sweep.purge(lifecycle.due_purges(10))
    assert list(store.glob("streams/*/*")) == []


def test_a_failed_read_is_not_a_404(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    # The embedded server's own way; nginx's is below.
    client = app.test_client()
    url = f"/v1/streams/{client.post('/v1/streams', data=b'x').get_json()['id']}"
    failing(monkeypatch, os, "open", errno.EIO)
    assert client.get(url, environ_base={"werkzeug.socket": None}).status_code == 503


def test_a_one_time_file_that_cannot_be_read_now_is_not_held(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = app.test_client()
    form = {"file": (io.BytesIO(b"x"), "report.xls")}
    url = client.put("/vimeo/api/v1.0/file", data=form).get_json()["url"]
    failing(monkeypatch, os, "open", errno.EIO)
    for _ in range(2):
        assert client.get(url, environ_base={"werkzeug.socket": None}).status_code == 503


@contextmanager
def blocked(path: Path) -> Iterator[None]:
    """Replace a file by something that cannot be opened for the length of the block."""
    aside = path.with_name("aside")
    path.rename(aside)
    path.symlink_to(path)  # ELOOP
    try:
        yield
    finally:
        aside.replace(path)


def test_nginx_answers_the_same_for_files_that_it_cannot_open(shaky: Shaky) -> None:
    await_(lambda: shaky.settled, 60)
    before = shaky.files("store")
    url = stream(shaky.service)
    await_(lambda: not shaky.files("incoming"), 60)  # so it is served from the store
    (path,) = shaky.files("store") - before
    with blocked(path):
        answer = get(url)
        assert refused_for_now(answer), (answer.status_code, answer.text)
    assert get(url).content == b"content"
