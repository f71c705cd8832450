"""No space for the journal: a download that cannot be confirmed does not start, so no file is given out twice."""

import os
import signal

from tests.outages.disks import Shaky
from tests.outages.requesting import delete, get, link, refused_for_now, stream
from tests.production.parts import pid_of
from tests.services import await_, used_up

ROW = "room for the journal, on a disk of its own"


def test_one_time_files_wait_and_all_else_goes_on(shaky: Shaky) -> None:
    first, second, kept = link(shaky.service), link(shaky.service), stream(shaky.service)
    assert get(first).content == b"content"  # now there is space for the lines to come
    log = shaky.seen("journal") / "deliveries.log"
    rotated = log.with_name("deliveries.log.1")
    with shaky.filled("journal", left=4096):
        assert get(second).content == b"content"
        assert used_up(second)
        once = link(shaky.service)
        log.rename(rotated)
        os.kill(pid_of(shaky.service, "nginx"), signal.SIGUSR1)  # nginx -s reopen
        await_(log.exists)
        for _ in range(3):  # the new file has no space
            assert refused_for_now(get(once))
        assert get(kept).content == b"content"
        assert delete(kept).status_code == 200
        later = link(shaky.service)
    rotated.unlink()  # it holds space that the others of this small disk need
    for url in (once, later):
        assert get(url).content == b"content"
        assert used_up(url)
