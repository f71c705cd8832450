"""No worker for long, as after an hour of requests: what waits is in the rows, and a worker that starts does it all."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import redis
import requests

from tests import fetches
from tests.fetches import Fetch
from tests.origin import Page, serving
from tests.outages.disks import Shaky
from tests.outages.requesting import delete, get, link, stream
from tests.production.parts import environ_of, stopped
from tests.services import ROOT, Service, await_
from vimeo_api.core import broker

ROW = "the workers"
FETCHES = broker.MOST + 30
USERS = 8  # at once
FILES = 30  # of each kind
ASK = """
from vimeo_api import tasks
from vimeo_api.app import create_app
from vimeo_api.core import broker
with create_app().app_context():
    while tasks.enqueue(tasks.count):
        pass
"""


def queued(service: Service) -> dict[str, int]:
    """Return how many messages wait in each queue of the broker."""
    address = environ_of(service, "web")["BROKER_URL"].partition("://")[2]
    with redis.Redis(unix_socket_path=address) as client:
        return {name: int(client.llen(name)) for name in ("delete", "fetch", "maintenance", "place")}


def ask_for_a_count(service: Service) -> None:
    """Have the queue of what is asked for periodically grow as long as it may."""
    subprocess.run([sys.executable, "-c", ASK], env=environ_of(service, "beat"), cwd=ROOT, check=True)


def test_only_rows_grow_and_a_worker_that_starts_does_it_all(shaky: Shaky) -> None:
    service, before = shaky.service, shaky.files("store")
    await_(lambda: not shaky.files("incoming"), 60)
    with serving() as origin, ThreadPoolExecutor(USERS) as users, ExitStack() as workers:
        url = origin.serve("/small", Page(b"fetched"))
        for part in ("worker", "fetcher", "placer"):
            workers.enter_context(stopped(service, part))
        ask_for_a_count(service)
        begun: list[Fetch] = list(users.map(lambda _: fetches.begin(service, url), range(FETCHES)))
        kept = list(users.map(lambda _: stream(service), range(FILES)))
        once = list(users.map(lambda _: link(service), range(FILES)))
        assert all(get(one).content == b"content" for one in [*kept, *once])
        assert {get(one).status_code for one in once} == {410}
        assert {delete(one).status_code for one in kept[::2]} == {200}
        # Beat runs, and there was much to call workers for: the queues are as long as they may be, and no longer.
        waiting = queued(service)
        assert min(waiting["fetch"], waiting["maintenance"]) >= broker.MOST
        assert max(waiting.values()) <= broker.MOST + USERS  # who asks at once may each add one
        assert {fetch.status()["state"] for fetch in begun[:: FETCHES // 20]} == {"fetching"}
        workers.close()
        for fetch in begun:
            assert fetch.ended(120)["state"] == "available"
        # All is where it belongs, and what was used up or deleted is gone.
        await_(lambda: not shaky.files("incoming") and not any(queued(service).values()), 120)
        await_(lambda: len(shaky.files("store") - before) == FETCHES + len(kept[1::2]), 60)
    assert {get(one).content for one in kept[1::2]} == {b"content"}
    assert {requests.get(one, timeout=60).status_code for one in kept[::2]} == {404}
