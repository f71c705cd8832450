"""Fetches into a full disk: a small tmpfs that only the service sees, for spool and store."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.fetches import OPEN, Fetch, ask, begin
from tests.groups import PROFILES
from tests.mounts import filled, mounting
from tests.origin import Page, noise, serving
from tests.outages.disks import TIGHT, Shaky
from tests.services import Service, await_, files_below, running

pytestmark = pytest.mark.slow

MIB = 1024**2
SIZE = 64 * MIB  # of the disk
LEFT = MIB
PAGE = os.sysconf("SC_PAGE_SIZE")
CONTENT = noise(2 * LEFT)
MOUNT = (
    'set -e; mount -t tmpfs -o size=$1,mode=0777 tmpfs "$2"; mkdir -m 0777 "$2/incoming" "$2/store"; shift 2; exec "$@"'
)


@dataclass(frozen=True)
class Cramped:
    """A service, and its spool and store as it sees them."""

    service: Service
    spool: Path
    store: Path

    def left_behind(self) -> set[str]:
        found = [path for folder in (self.spool, self.store) for path in files_below(folder)]
        return {path.name for path in found if ".reserved" not in path.parts}


@pytest.fixture(scope="module")
def cramped_embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Cramped]]:
    """The embedded service on a disk that is mounted for it alone, and gone with it; started when asked for."""
    with ExitStack() as stack:

        @cache
        def start() -> Cramped:
            folder = tmp_path_factory.mktemp("cramped")
            disk, data = folder / "disk", folder / "data"
            disk.mkdir()
            data.mkdir()
            for name in ("incoming", "store"):
                (data / name).symlink_to(disk / name)
            prefix = mounting(MOUNT, str(SIZE), str(disk))
            service = stack.enter_context(running("embedded", data, prefix=prefix, **OPEN, **TIGHT))
            seen = Path(f"/proc/{service.process.pid}/root/{disk}")
            return Cramped(service, seen / "incoming", seen / "store")

        yield start


@pytest.fixture(params=PROFILES)
def cramped(
    request: pytest.FixtureRequest, cramped_embedded: Callable[[], Cramped], shaking: Callable[[], Shaky]
) -> Cramped:
    """The real service on a small disk for what comes in; production has its store on another one."""
    if request.param == "embedded":
        return cramped_embedded()
    shaky = shaking()
    await_(lambda: shaky.settled, 60)
    return Cramped(shaky.service, shaky.seen("incoming"), shaky.seen("store"))


@pytest.mark.parametrize(
    ("page", "left"),
    [
        (Page(CONTENT), LEFT),
        (Page(CONTENT, ranges="no"), LEFT),
        (Page(CONTENT), PAGE),
        (Page(CONTENT, ranges="no", framing="chunked"), LEFT),
    ],
    ids=["ranges", "one stream", "hardly a byte left", "not announced"],
)
def test_a_fetch_into_a_full_disk_fails_and_leaves_nothing(cramped: Cramped, page: Page, left: int) -> None:
    before = cramped.left_behind()
    gate = threading.Event()
    page.gate = None if page.framing == "chunked" else gate  # what is announced is refused before its first byte
    with serving() as origin:
        url = origin.serve("/big", page)
        with filled(cramped.spool, left=left):
            fetch = begin(cramped.service, url)
            status = fetch.ended()
            assert (status["state"], status["failure"], status["error"]) == (
                "failed",
                "full",
                "No space left on device",
            )
            answer = fetch.download()
            assert (answer.status_code, answer.json()) == (507, {"error": "No space left on device"})
            await_(lambda: cramped.left_behind() == before)
        gate.set()
        again = begin(cramped.service, url)
        assert again.ended()["state"] == "available"
        assert again.download().content == CONTENT
        await_(lambda: len(cramped.left_behind() - before) == 1)


def test_a_waiting_client_is_told_that_the_disk_is_full(cramped: Cramped) -> None:
    with serving() as origin, filled(cramped.spool, left=LEFT):
        answer = ask(cramped.service, origin.serve("/big", Page(CONTENT)))
        if answer.status_code == 202:
            fetch = Fetch(cramped.service, **answer.json())
            fetch.ended()
            answer = fetch.download()
        assert (answer.status_code, answer.json()) == (507, {"error": "No space left on device"})
