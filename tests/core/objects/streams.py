"""Streams that are placed in an object store, and what is seen of them."""

import random
from datetime import timedelta

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from tests.entries import found
from tests.object_stores import ObjectStore
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File
from vimeo_api.core.files import placing
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.monitoring import readiness
from vimeo_api.core.monitoring.probes import Finding

CONTENT = random.randbytes(100_000)
NOWHERE = "http://127.0.0.1:1"


def posted(client: FlaskClient, content: bytes = CONTENT) -> Entry:
    """Return a stream that is still to be placed."""
    return found("streams", client.post("/v1/streams", data=content).json["id"])  # type: ignore[index]


def url(stream: Entry) -> str:
    return f"/v1/streams/{stream.key}"


def objects(bucket: ObjectStore, app: Flask) -> set[str]:
    """Return the names of the objects of a test's app."""
    prefix = app.config["SETTINGS"].store_url.rpartition("/")[2]
    return {key.rpartition("/")[2] for key in bucket.keys(prefix)}


def readiness_of(dependency: str) -> Finding[None]:
    return next(check.finding for check in readiness.checks() if check.name == dependency)


def end_grace() -> None:
    """Have the pending copies of placed files removed now."""
    for row in statements.rows(select(File.id).where(File.place_due_at.is_not(None))):
        past = update(File).where(File.id == row.id).values(place_due_at=now() - timedelta(seconds=1))
        statements.execute(past)
        placing.run(row.id)
