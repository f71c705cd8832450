"""Bodies of killed processes: removed soon, and never while somebody still receives or needs them."""

import os
import time
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.inprocess import sweep
from tests.surfaces.resumable.tus import DATA, begin, offset_of, patch
from vimeo_api.core.maintenance import dead_bodies
from vimeo_api.extensions import blobs

NGINX_S = "0000000815"  # as nginx names a body


def body(app: Flask, *, name: str = NGINX_S, age: float = dead_bodies.AGE_SECONDS) -> Path:
    path = Path(app.config["SETTINGS"].spool_dir, name)
    path.write_bytes(DATA)
    last = time.time() - age
    os.utime(path, (last, last))
    return path


def test_a_body_goes_once_the_process_that_had_it_is_dead(app: Flask) -> None:
    path = body(app)
    with path.open("rb+"):  # nginx, from its first byte to its line in the log
        sweep(app)
        assert path.exists()
    sweep(app)
    assert not path.exists()


def test_a_body_that_was_closed_a_moment_ago_may_still_be_opened(app: Flask) -> None:
    path = body(app, age=dead_bodies.AGE_SECONDS - 10)
    sweep(app)
    assert path.exists()
    path.unlink()


def test_a_body_of_which_the_service_makes_a_file_stays(app: Flask) -> None:
    path = body(app)
    with app.app_context(), blobs.adopt(path):  # its nginx is dead
        dead_bodies.remove()
        assert path.exists()
    path.unlink()


def test_what_a_killed_request_had_staged_goes_too(app: Flask) -> None:
    with app.app_context(), blobs.stage() as staging:
        staging.write(DATA)
        last = time.time() - dead_bodies.AGE_SECONDS
        os.utime(staging.path, (last, last))
        dead_bodies.remove()
        assert staging.path.exists()
    left = body(app, name="0123456789abcdef" * 2)
    sweep(app)
    assert not left.exists()


def test_only_bodies_go(app: Flask) -> None:
    others = [body(app, name=name) for name in ("fetch-streams-" + "a" * 32, "cafe", NGINX_S + ".spans")]
    with app.app_context():
        dead_bodies.remove()
    assert [path.exists() for path in others] == [True, True, True]
    for path in others:
        path.unlink()


def test_a_body_that_the_log_names_is_taken_over_however_old_it_is(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = begin(client)
    monkeypatch.setattr(dead_bodies, "AGE_SECONDS", 0)
    patch(client, url, 0, DATA, cut=1000)
    with app.app_context():
        dead_bodies.remove()
    assert offset_of(client, url) == 1000
