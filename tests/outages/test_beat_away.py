"""Beat: what is told at once goes on, what is found by the sweep waits."""

import psycopg
import redis

from tests import fetches
from tests.origin import Page, serving
from tests.outages.disks import Shaky
from tests.outages.requesting import get, link, used_up
from tests.production.parts import environ_of, stopped
from tests.services import Service, await_

ROW = "beat"
# Due for longer than a sweep that runs would leave it.
OVERDUE = "SELECT count(*) FROM files WHERE status = 'gone' AND purged_at IS NULL AND due_at < now() - interval '3 s'"


def overdue(service: Service) -> int:
    """Return how many used-up files wait for a sweep that does not come."""
    address = environ_of(service, "web")["DATABASE_URL"].replace("+psycopg", "")
    with psycopg.connect(address) as connection:
        (number,) = connection.execute(OVERDUE).fetchone() or (0,)
    return int(number)


def idle(service: Service) -> bool:
    """Return whether no worker has anything to do; what it is at is kept in `unacked` until it is done."""
    address = environ_of(service, "web")["BROKER_URL"].partition("://")[2]
    with redis.Redis(unix_socket_path=address) as client:
        return not client.exists("delete", "fetch", "maintenance", "place", "unacked")


def test_urls_are_fetched_and_bytes_of_used_up_files_wait(shaky: Shaky) -> None:
    service = shaky.service
    await_(lambda: shaky.settled, 60)
    before = shaky.files("store")
    with serving() as origin, stopped(service, "beat"):
        await_(lambda: idle(service), 60)  # the last sweep is over
        answer = fetches.ask(service, origin.serve("/small", Page(b"fetched")))
        assert answer.status_code in {200, 202}
        await_(lambda: fetches.downloaded(service, answer.json()["file_id"]).content == b"fetched", 60)
        once = link(service)
        assert (get(once).content, used_up(once)) == (b"content", True)
        await_(lambda: overdue(service) == 1, 60)
        assert len(shaky.unplaced() | shaky.files("store") - before) == 2
    await_(lambda: shaky.settled and len(shaky.files("store") - before) == 1, 60)
