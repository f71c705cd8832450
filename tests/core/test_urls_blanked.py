"""The URL of a fetch is gone from its row once the fetch is over; that there was one is still known."""

from collections.abc import Callable

import flask_migrate
import pytest
import sqlalchemy
from flask import Flask

from tests.services import ROOT
from vimeo_api.core.database.migrations import migrate
from vimeo_api.core.database.models import Failure
from vimeo_api.core.fetching import claims
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import NewFile
from vimeo_api.core.policy import TRANSFER
from vimeo_api.extensions import db
from vimeo_api.services import fetches

URL = "https://example.org/a.txt?signature=secret"
ENDS: dict[str, Callable[[int], object]] = {
    "finished": lambda row: claims.finish(row, "t", name="a.txt", size=1, modified=0, pending=False),
    "failed": lambda row: claims.fail(row, "t", Failure.ORIGIN, "No."),
    "cancelled": claims.cancel,
}


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("end", ENDS)
def test_a_fetch_that_is_over_keeps_no_url(end: str) -> None:
    catalog.add(NewFile("transfer", "1", blob="ab", name="a.txt", size=0, source_url=URL))
    entry = catalog.find("transfer", "1")
    assert entry is not None
    assert claims.claim(entry.id, "t")
    assert row() == ("a.txt", URL)
    ENDS[end](entry.id)
    assert row() == ("a.txt", "")
    assert fetches.status(TRANSFER, "1")["name"] == "a.txt"


def test_the_migration_blanks_those_of_old_rows(app: Flask) -> None:
    catalog.add(NewFile("transfer", "1", blob="ab", name="a.txt", size=0, source_url=URL))
    migrate.init_app(app)
    flask_migrate.downgrade(str(ROOT / "migrations"), revision="0013")
    flask_migrate.upgrade(str(ROOT / "migrations"))
    assert row() == ("a.txt", URL)  # the fetch is not over
    flask_migrate.downgrade(str(ROOT / "migrations"), revision="0013")
    with db.engine.connect() as connection:
        connection.execute(sqlalchemy.text("UPDATE files SET status = 'available'"))
    flask_migrate.upgrade(str(ROOT / "migrations"))
    assert row() == ("a.txt", "")


def row() -> tuple[str, str]:
    with db.engine.connect() as connection:
        name, url = connection.execute(sqlalchemy.text("SELECT name, source_url FROM files")).one()
    return name, url
