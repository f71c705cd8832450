"""Uploads while the database is away."""

import sqlite3
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from vimeo_api import services
from vimeo_api.core import storage
from vimeo_api.core.policy import STORE, STREAMS, Policy
from vimeo_api.core.storage import Staging
from vimeo_api.extensions import db, settings


@pytest.mark.parametrize(
    ("upload", "policy"), [(services.upload, STREAMS), (services.upload_content, STORE)], ids=["upload", "content"]
)
def test_nothing_is_published_that_cannot_be_written_down(
    app: Flask, monkeypatch: pytest.MonkeyPatch, upload: Callable[[Policy, Staging], str], policy: Policy
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("the database is away")

    db.engine.dispose()
    monkeypatch.setattr(db.engine.dialect, "connect", refuse)
    with storage.stage() as staging, pytest.raises(OperationalError):
        staging.write(b"content")
        upload(policy, staging)
    assert [path for path in settings.store_dir.glob("*/**/*") if path.is_file()] == []
