"""The queues at the broker of the embedded profile, which is a file of SQLite."""

import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

from flask import Flask

from vimeo_api.core import broker
from vimeo_api.extensions import celery


def test_all_queues_can_be_created_before_any_process_uses_one(app: Flask) -> None:
    broker.create()
    path = urlsplit(celery.conf.broker_url).path.removeprefix("/")
    with closing(sqlite3.connect(path)) as connection:
        created = {name for (name,) in connection.execute("SELECT name FROM kombu_queue")}
    assert created == {"delete", "fetch", "maintenance", "notify", "place"} | {
        f"{name}.local" for name in ("delete", "maintenance", "place")
    }
