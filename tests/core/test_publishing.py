"""Uploads while the database is down or a sweep runs."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from vimeo_api.core.access import api_tokens
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File
from vimeo_api.core.errors import Exists, QuotaExceeded
from vimeo_api.core.files import cache_generations, catalog, storing
from vimeo_api.core.files.catalog import NewFile
from vimeo_api.core.maintenance import sweep
from vimeo_api.core.policy import NAMED, STORE, STREAMS, Policy
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.extensions import blobs, cache, db, settings


@pytest.mark.parametrize(
    ("upload", "policy"), [(storing.upload, STREAMS), (storing.upload_content, STORE)], ids=["upload", "content"]
)
def test_nothing_is_published_if_its_row_cannot_be_written(
    app: Flask, monkeypatch: pytest.MonkeyPatch, upload: Callable[[Policy, Staging], str], policy: Policy
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("the database is away")

    with db.engine.connect() as connection:
        connection.invalidate()  # as after a statement that has failed; it stays in the pool, to be opened anew
    monkeypatch.setattr("sqlite3.dbapi2.connect", refuse)
    with blobs.stage() as staging, pytest.raises(OperationalError):
        staging.write(b"content")
        upload(policy, staging)
    assert [path for path in settings.store_dir.glob("*/**/*") if path.is_file()] == []


def named(content: bytes) -> str:
    with blobs.stage() as staging:
        staging.write(content)
        return storing.upload(NAMED, staging, name="a.txt").key


def content() -> str:
    with blobs.stage() as staging:
        staging.write(b"content")
        return storing.upload_content(STORE, staging)


def end_all() -> None:
    """Let every file expire, and remove them as the sweep does."""
    statements.execute(update(File).values(expires_at=now() - timedelta(seconds=1)))
    sweep.settle_leases()


def test_a_name_is_free_once_the_sweep_has_expired_its_file(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_content_stored_again_is_a_new_file_once_the_old_one_has_expired(app: Flask) -> None:
    key = content()
    statements.execute(update(File).values(expires_at=now() - timedelta(seconds=1)))
    assert content() == key
    entry = catalog.find("store", key)
    assert entry is not None
    assert not entry.expired
    assert blobs.path(entry.surface, entry.blob).read_bytes() == b"content"


def test_refusals_are_stale_once_content_is_stored_again(app: Flask) -> None:
    key = content()
    cache.set(cache_generations.cache_key("store", key), "when it was refused")
    content()
    assert cache.get(cache_generations.cache_key("store", key)) != "when it was refused"


def test_existing_content_does_not_count_against_a_quota(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    key = content()

    @contextmanager
    def full(*_: object) -> Iterator[None]:
        raise QuotaExceeded
        yield

    monkeypatch.setattr(api_tokens, "charged", full)
    assert content() == key
    with blobs.stage() as staging, pytest.raises(QuotaExceeded):
        staging.write(b"other content")
        storing.upload_content(STORE, staging)
    assert [path.read_bytes() for path in settings.store_dir.glob("store/*/*")] == [b"content"]
