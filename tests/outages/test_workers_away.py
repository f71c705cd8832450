"""No worker runs for a long time: the rows hold all waiting work, and the first worker does it all."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import redis

from tests import fetches
from tests.fetches import Fetch
from tests.origin import Page, serving
from tests.outages.disks import Shaky
from tests.outages.requesting import delete, get, link, stream
from tests.production.parts import environ_of, stopped
from tests.services import ROOT, Service, await_, used_up
from vimeo_api.core import broker

ROW = "the workers"
USERS = 8  # at once
FILES = 10  # of each kind
ASK = f"""
from vimeo_api import tasks
from vimeo_api.app import create_app
with create_app().app_context():
    for task, words in ((tasks.delete, [[0]]), (tasks.fetch, [0])):
        for _ in range({broker.MAX_QUEUED + 50}):
            tasks.enqueue(task, *words)
"""


def queued(service: Service) -> dict[str, int]:
    """Return how many messages wait in each queue of the broker."""
    address = environ_of(service, "web")["BROKER_URL"].partition("://")[2]
    with redis.Redis(unix_socket_path=address) as client:
        return {name: int(client.llen(name)) for name in ("delete", "fetch", "maintenance", "place")}


def ask_for_much(service: Service) -> None:
    """Let two queues grow to their limit, with messages about a file that does not exist."""
    subprocess.run([sys.executable, "-c", ASK], env=environ_of(service, "beat"), cwd=ROOT, check=True)


def test_work_waits_in_rows_until_a_worker_starts(shaky: Shaky) -> None:
    service = shaky.service
    await_(lambda: shaky.settled, 60)
    before = shaky.files("store")
    with serving() as origin, ThreadPoolExecutor(USERS) as users, ExitStack() as workers:
        url = origin.serve("/small", Page(b"fetched"))
        for part in ("worker", "fetcher", "placer"):
            workers.enter_context(stopped(service, part))
        ask_for_much(service)
        begun: list[Fetch] = list(users.map(lambda _: fetches.begin(service, url), range(FILES)))
        kept = list(users.map(lambda _: stream(service), range(FILES)))
        once = list(users.map(lambda _: link(service), range(FILES)))
        assert all(get(one).content == b"content" for one in [*kept, *once])
        assert all(used_up(one) for one in once)
        assert {delete(one).status_code for one in kept[::2]} == {200}
        # Beat runs, and there was much to call workers for: beat may have added one to what was asked for at once.
        waiting = queued(service)
        assert {waiting[name] - broker.MAX_QUEUED for name in ("delete", "fetch")} <= {0, 1}
        assert max(waiting.values()) <= broker.MAX_QUEUED + 1
        assert {fetch.status()["state"] for fetch in begun} == {"fetching"}
        assert not origin.requests
        workers.close()
        for fetch in begun:
            assert fetch.ended()["state"] == "available"
        # All files are where they belong; used-up and deleted ones are gone.
        await_(lambda: shaky.settled and not any(queued(service).values()), 120)
        await_(lambda: len(shaky.files("store") - before) == FILES + len(kept[1::2]), 60)
    assert {get(one).content for one in kept[1::2]} == {b"content"}
    assert {get(one).status_code for one in kept[::2]} == {404}
