"""No space for the journal: a download that cannot be confirmed does not start, so no file is given out twice."""

from tests.outages.disks import Shaky
from tests.outages.requesting import delete, get, link, refused_for_now, stream
from tests.services import used_up

ROW = "room for the journal, on a disk of its own"


def test_one_time_files_wait_and_all_else_goes_on(shaky: Shaky) -> None:
    once, kept = link(shaky.service), stream(shaky.service)
    with shaky.filled("journal", left=4096):
        for _ in range(3):
            assert refused_for_now(get(once))
        assert get(kept).content == b"content"
        assert delete(kept).status_code == 200
        later = link(shaky.service)
    for url in (once, later):
        assert get(url).content == b"content"
        assert used_up(url)
