"""The embedded profile's worker: an unused service does not fill its disk."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.services import await_, running

pytestmark = pytest.mark.slow


def test_it_keeps_no_message_that_a_worker_has_taken(tmp_path: Path) -> None:
    with running("embedded", tmp_path / "data") as service, closing(sqlite3.connect(service.data / "broker.db")) as db:

        def figure(query: str) -> int:
            return int(db.execute(query).fetchone()[0])

        await_(lambda: figure("SELECT count(*) FROM sqlite_master WHERE name = 'kombu_message'"))
        # The sweep and the count send messages every few seconds.
        await_(lambda: figure("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'kombu_message'") > 5)
        await_(lambda: figure("SELECT count(*) FROM kombu_message WHERE NOT visible") == 0)
