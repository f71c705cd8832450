"""Uploads while the database is away, or a sweep is at work."""

import sqlite3
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from vimeo_api import services
from vimeo_api.core import catalog, database, lifecycle, storage, upkeep
from vimeo_api.core.catalog import NewFile, now
from vimeo_api.core.errors import Exists
from vimeo_api.core.models import File
from vimeo_api.core.policy import NAMED, STORE, STREAMS, Policy
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


def named(content: bytes) -> str:
    with storage.stage() as staging:
        staging.write(content)
        return services.upload(NAMED, staging, name="a.txt")


def content() -> str:
    with storage.stage() as staging:
        staging.write(b"content")
        return services.upload_content(STORE, staging)


def end_all() -> None:
    """Let the time of every file be over, and take them away as the sweep does."""
    database.changed(update(File).values(expires_at=now() - timedelta(seconds=1)))
    upkeep.settle_leases()


def test_a_name_is_free_once_the_sweep_has_taken_its_file_away(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    named(b"first")
    add = catalog.add

    def refused_before_the_sweep(file: NewFile) -> None:
        try:
            add(file)
        except Exists:
            end_all()
            raise

    monkeypatch.setattr(catalog, "add", refused_before_the_sweep)
    named(b"second")
    entry = catalog.find("named", "a.txt")
    assert entry is not None
    assert entry.size == len(b"second")


def test_content_stored_again_is_there_though_it_expires_meanwhile(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    key = content()
    prolong = lifecycle.prolong

    def after_the_sweep(*prolonged: object) -> bool:
        end_all()
        return prolong(*prolonged)  # type: ignore[arg-type]

    monkeypatch.setattr(lifecycle, "prolong", after_the_sweep)
    assert content() == key
    entry = catalog.find("store", key)
    assert entry is not None
    assert storage.path(entry.surface, entry.blob).read_bytes() == b"content"


def test_content_is_looked_for_where_it_was_published(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = storage.publish

    def published(staging: Staging, surface: str, blob: str) -> bool:
        """Publish while the store is away, which is back at once."""
        with monkeypatch.context() as away:
            away.setattr(storage, "_lands", lambda *_: True)
            return publish(staging, surface, blob)

    monkeypatch.setattr(storage, "publish", published)
    entry = catalog.find("store", content())
    assert entry
    assert storage.path("store", entry.blob, landed=entry.landed).read_bytes() == b"content"
