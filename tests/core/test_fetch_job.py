"""A fetch that meets a full disk."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from tests.inprocess import Clock
from tests.origin import Origin, Page
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import Failure, File, Status
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.fetching import claims, client, job, turns
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import NewFile


def no_space(*_: Any, **__: Any) -> None:
    raise StorageFull("No space left on device")


@pytest.fixture
def asked(app: Flask, origin: Origin) -> int:
    app.config["SETTINGS"] = app.config["SETTINGS"].model_copy(update={"fetch_allow_private": True})
    url = origin.serve("/a", Page(b"content"))
    catalog.add(NewFile("transfer", "1", blob="b1", name="n", size=0, source_url=url))
    found = catalog.find("transfer", "1")
    assert found
    turns.add(found.id, client="me", origin="127.0.0.1")
    return found.id


def row(file_id: int) -> statements.AnyRow:
    found = statements.row(select(File.status, File.failure, File.attempts).where(File.id == file_id))
    assert found
    return found


def test_it_waits_for_space_and_resumes(asked: int, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    with monkeypatch.context() as full:
        full.setattr(client, "fetch", no_space)
        assert job.run(asked) == [], "it is called again at once"
    assert tuple(row(asked)) == (Status.FETCHING, None, 0)
    assert claims.revive(1) == []
    clock.forward(claims.SPACE_PAUSE_SECONDS)
    assert claims.revive(1) == [asked]
    job.run(asked)
    assert row(asked).status == Status.AVAILABLE


def test_it_fails_when_it_has_waited_long_enough(app: Flask, asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    app.config["SETTINGS"] = app.config["SETTINGS"].model_copy(update={"fetch_space_seconds": 0})
    monkeypatch.setattr(client, "fetch", no_space)
    job.run(asked)
    assert tuple(row(asked))[:2] == (Status.FAILED, Failure.FULL)
