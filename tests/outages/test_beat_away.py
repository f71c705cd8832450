"""Beat: what is told at once goes on, what is found by the sweep waits."""

import time

from tests import fetches
from tests.origin import Page, serving
from tests.outages.disks import Shaky
from tests.outages.requesting import get, link
from tests.production.parts import stopped
from tests.services import GRACE_SECONDS, await_

ROW = "beat"


def test_urls_are_fetched_and_bytes_of_used_up_files_wait(shaky: Shaky) -> None:
    service = shaky.service
    await_(lambda: not shaky.files("incoming"), 60)
    before = shaky.files("store")
    with serving() as origin, stopped(service, "beat"):
        answer = fetches.ask(service, origin.serve("/small", Page(b"fetched")))
        assert answer.status_code in {200, 202}
        await_(lambda: fetches.downloaded(service, answer.json()["file_id"]).content == b"fetched")
        once = link(service)
        assert (get(once).content, get(once).status_code) == (b"content", 410)
        time.sleep(GRACE_SECONDS + 2)  # that nothing happens cannot be awaited
        assert len(shaky.files("incoming")) == 2
    await_(lambda: not shaky.files("incoming") and len(shaky.files("store") - before) == 1, 60)
