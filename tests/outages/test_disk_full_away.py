"""A full disk, at each step of an upload: 507, nothing is left behind, and deletions still free space."""

import pytest
import requests

from tests.outages.disks import Shaky
from tests.outages.requesting import PATIENCE, delete, get, link, put, stream, upload
from tests.services import await_

ROW = "space on the disk"
MIB = 1024**2
CONTENT = bytes(2 * MIB)


def uploads(shaky: Shaky, content: bytes) -> list[requests.Response]:
    """Upload in every way that a surface knows."""
    url = shaky.service.url
    return [
        upload(shaky.service, content),
        put(shaky.service, content),
        requests.post(f"{url}/", data=content, timeout=PATIENCE),
        requests.post(f"{url}/upload/full.txt", data=content, timeout=PATIENCE),
        requests.post(f"{url}/upload", files={"file": ("full.txt", content)}, timeout=PATIENCE, allow_redirects=False),
        requests.post(f"{url}/uploadFile", files={"file": ("full.txt", content)}, timeout=PATIENCE),
    ]


@pytest.mark.parametrize("left", [MIB, 0])
def test_a_body_that_does_not_fit_is_507_and_gone(shaky: Shaky, left: int) -> None:
    kept, doomed, once = stream(shaky.service), stream(shaky.service), link(shaky.service)
    await_(lambda: shaky.settled, 60)
    with shaky.filled("incoming", left=left):
        assert [answer.status_code for answer in uploads(shaky, CONTENT)] == [507] * 6
        await_(lambda: shaky.settled, 60)  # nginx removes a body after the answer
        assert get(kept).content == get(once).content == b"content"
        assert (delete(doomed).status_code, get(doomed).status_code) == (200, 404)
    assert upload(shaky.service, CONTENT).status_code == 201


def test_a_name_that_does_not_fit_is_507_and_the_body_gone(shaky: Shaky) -> None:
    """The body is there, and there is no room for its folders or its second name in the pending area."""
    await_(lambda: not shaky.files("incoming"), 60)  # or clearing them makes room for names
    for left in (1, 2):
        with shaky.without_names("incoming", left=left):
            assert {answer.status_code for answer in uploads(shaky, b"small")} == {507}
            await_(lambda: shaky.settled, 60)  # nginx removes a body after the answer
    assert upload(shaky.service, b"small").status_code == 201


def test_a_store_that_is_full_leaves_files_where_they_have_landed(shaky: Shaky) -> None:
    await_(lambda: shaky.settled, 60)
    logged = shaky.service.log_sizes()
    with shaky.filled("disk"):
        url = stream(shaky.service, CONTENT)
        await_(lambda: "was not placed" in shaky.service.logs_since(logged))
        assert get(url).content == CONTENT
        assert delete(url).status_code == 200
    await_(lambda: shaky.settled, 60)
