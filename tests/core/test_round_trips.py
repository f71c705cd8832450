"""How many database queries a download makes: each is a wait, and they take most of its CPU time."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from vimeo_api.core.access import passwords
from vimeo_api.core.deliveries import losses
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import NewFile
from vimeo_api.core.policy import STREAMS, VIMEO, Policy
from vimeo_api.extensions import db
from vimeo_api.services import files
from vimeo_api.services.downloads import open_download


@contextmanager
def counted() -> Iterator[list[str]]:
    """Collect the statements that the driver executes in the block."""
    statements: list[str] = []

    def watch(connection: sqlite3.Connection, *_: Any) -> None:
        connection.set_trace_callback(statements.append)

    event.listen(db.engine, "checkout", watch)
    try:
        yield statements
    finally:
        event.remove(db.engine, "checkout", watch)
        db.engine.dispose()


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("policy", "password", "words"),
    [
        (STREAMS, None, ["SELECT"]),
        (VIMEO, None, ["UPDATE"]),
        (VIMEO, "secret", ["SELECT", "UPDATE"]),
    ],
)
def test_a_download_makes_no_more_round_trips_than_expected(
    policy: Policy, password: str | None, words: list[str]
) -> None:
    hashed = passwords.hashed(password) if password else None
    catalog.add(NewFile(policy.surface, "k", blob="b", name="n", size=10, password_hash=hashed))
    losses.note_boot()  # once in the life of a process
    with counted() as statements:
        open_download(policy, "k", password=password)
    assert [statement.split()[0] for statement in statements] == words


def test_a_deletion_makes_no_more_round_trips_than_expected(app: Flask) -> None:
    catalog.add(NewFile("streams", "k", blob="b", name="n", size=10))
    with app.app_context(), counted() as statements:
        files.remove(STREAMS, "k")
    assert [statement.split()[0] for statement in statements] == ["SELECT", "UPDATE", "DELETE"]


def test_a_head_takes_no_lease(app: Flask) -> None:
    catalog.add(NewFile("vimeo", "k", blob="b", name="n", size=10))
    with app.app_context(), counted() as statements:
        open_download(VIMEO, "k", with_body=False)
    assert [statement.split()[0] for statement in statements] == ["SELECT"]
