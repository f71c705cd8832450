"""Fetches into a full disk: a small tmpfs that only the service sees, for spool and store."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.fetches import OPEN, Fetch, ask, begin
from tests.mounts import filled, mounting
from tests.origin import Page, noise, serving
from tests.services import Service, await_, running

pytestmark = pytest.mark.slow

MIB = 1024**2
SIZE = 64 * MIB  # of the disk
LEFT = 4 * MIB
PAGE = os.sysconf("SC_PAGE_SIZE")
CONTENT = noise(2 * LEFT)
MOUNT = (
    'set -e; mount -t tmpfs -o size=$1,mode=0777 tmpfs "$2"; mkdir -m 0777 "$2/incoming" "$2/store"; shift 2; exec "$@"'
)


@dataclass(frozen=True)
class Cramped:
    """A service, and its disk as it sees it."""

    service: Service
    disk: Path

    def left_behind(self) -> set[Path]:
        seen = replace(self.service, data=self.disk, spool=self.disk / "incoming")
        return seen.stored() | seen.spooled()


@pytest.fixture(scope="module")
def cramped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cramped]:
    """The real service on a disk that is mounted for it alone, and gone with it; workers are alike in both profiles."""
    folder = tmp_path_factory.mktemp("cramped")
    disk, data = folder / "disk", folder / "data"
    disk.mkdir()
    data.mkdir()
    for name in ("incoming", "store"):
        (data / name).symlink_to(disk / name)
    prefix = mounting(MOUNT, str(SIZE), str(disk))
    with running("embedded", data, prefix=prefix, **OPEN, KEEP_FREE="0") as service:
        yield Cramped(service, Path(f"/proc/{service.process.pid}/root/{disk}"))


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
        with filled(cramped.disk, left=left):
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


def test_who_waits_is_told_that_the_disk_is_full(cramped: Cramped) -> None:
    with serving() as origin, filled(cramped.disk, left=LEFT):
        answer = ask(cramped.service, origin.serve("/big", Page(CONTENT)))
        if answer.status_code == 202:
            fetch = Fetch(cramped.service, **answer.json())
            fetch.ended()
            answer = fetch.download()
        assert (answer.status_code, answer.json()) == (507, {"error": "No space left on device"})
