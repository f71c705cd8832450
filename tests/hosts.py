"""Two hosts in this process: two apps with one database and one store, each with a spool and a journal of its own."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask

from tests.inprocess import made, migrated
from tests.services import other_filesystem
from vimeo_api.core import hosts
from vimeo_api.core.deliveries.lines import Ticket


@contextmanager
def two_hosts(folder: Path, profile: str = "production", **settings: str) -> Iterator[tuple[Flask, Flask]]:
    """Make the hosts `a`, the first one, and `b`; their store is on another filesystem than their spools."""
    for name in "ab":  # they take the mark of the store that they share
        shutil.copytree(migrated(), folder / name, ignore=shutil.ignore_patterns("store.mark"))
    database = f"sqlite:///{folder / 'a' / 'vimeo_api.db'}"
    with other_filesystem() as apart:
        shared = {"DATABASE_URL": database, "STORE_DIR": str(apart / "store"), "SECRET_KEY": "s" * 32, **settings}
        made_b = made(profile, folder / "b", **shared, **_own(folder, "b"))
        with made_b as b, made(profile, folder / "a", **shared, **_own(folder, "a")) as a:
            for app in (a, b):
                _journal(app).parent.mkdir()
                with app.app_context():
                    hosts.note()
            yield a, b


def _own(folder: Path, name: str) -> dict[str, str]:
    return {"HOST_NAME": name, "JOURNAL": str(folder / name / "journal" / "deliveries.log")}


def _journal(app: Flask) -> Path:
    journal: Path = app.config["SETTINGS"].journal
    return journal


def report(app: Flask, ticket: Ticket | str, *, sent: int, complete: bool = True) -> None:
    """Have the nginx of a host report the end of a response that began at the first byte."""
    line = {"ticket": str(ticket), "method": "GET", "status": "200", "sent": str(sent), "range": ""}
    line["completion"] = "OK" if complete else ""
    with _journal(app).open("a") as file:
        file.write(json.dumps(line) + "\n")
