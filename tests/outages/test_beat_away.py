"""Beat is down: work that is enqueued at once goes on, work that the sweep finds waits."""

import psycopg

from tests import fetches
from tests.origin import Page, serving
from tests.outages.disks import Shaky
from tests.outages.requesting import get, link
from tests.production.parts import environ_of, stopped
from tests.services import Service, await_, used_up

ROW = "beat"
OVERDUE = "due_at < now() - interval '3 s'"  # for longer than a sweep that runs would leave it


def counted(service: Service, condition: str) -> int:
    """Return how many used-up files have their bytes, of those that a condition holds."""
    address = environ_of(service, "web")["DATABASE_URL"].replace("+psycopg", "")
    query = f"SELECT count(*) FROM files WHERE status = 'gone' AND purged_at IS NULL AND {condition}"
    with psycopg.connect(address) as connection:
        (number,) = connection.execute(query.encode()).fetchone() or (0,)
    return int(number)


def waits(service: Service) -> bool:
    """Use a file up, again if an earlier sweep has removed it; return whether one is overdue."""
    if not counted(service, "true"):
        once = link(service)
        assert (get(once).content, used_up(once)) == (b"content", True)
    return counted(service, OVERDUE) == 1


def test_urls_are_fetched_and_bytes_of_used_up_files_wait(shaky: Shaky) -> None:
    service = shaky.service
    await_(lambda: shaky.settled, 60)
    before = shaky.files("store")
    with serving() as origin, stopped(service, "beat"):
        answer = fetches.ask(service, origin.serve("/small", Page(b"fetched")))
        assert answer.status_code in {200, 202}
        await_(lambda: fetches.downloaded(service, answer.json()["file_id"]).content == b"fetched", 60)
        await_(lambda: waits(service), 60)
        assert len(shaky.unplaced() | shaky.files("store") - before) == 2
    await_(lambda: shaky.settled and len(shaky.files("store") - before) == 1, 60)
