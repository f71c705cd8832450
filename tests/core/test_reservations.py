"""Reservations: what is announced is held while it arrives, and no longer."""

import os
import time
from pathlib import Path

import pytest

from vimeo_api.core import identifiers
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.fetching.client import Fetched
from vimeo_api.core.fetching.headers import Version
from vimeo_api.core.fetching.partial_file import PartialFile
from vimeo_api.core.storage import reservations
from vimeo_api.core.storage.reservations import Reservations

MIB = 1024**2


class Disk(Reservations):
    """Reservations on a disk that has as much space as a test says."""

    free = 100 * MIB

    def space(self) -> int:
        return self.free - self.keep_free


class Clock:
    """Replaces `time` in the reservations: the real time plus what a test adds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path, keep_free=0, share=0.8)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(reservations, "time", moved)
    return moved


def reserve(disk: Disk, length: int, client: str = "") -> None:
    disk.reserve(identifiers.random_hex(), length, client=client)


def body(disk: Disk, clock: Clock, size: int) -> None:
    """Let nginx write a number of bytes now."""
    path = disk.spool / f"{len(disk.bodies()) + 1:010}"
    with path.open("wb") as file:
        file.truncate(size)
    os.utime(path, (clock.time(), clock.time()))


def test_an_announcement_alone_holds_space_for_seconds(disk: Disk, clock: Clock) -> None:
    reserve(disk, 80 * MIB)
    with pytest.raises(StorageFull):
        reserve(disk, 30 * MIB)
    clock.ahead += reservations.FULL_SECONDS
    reserve(disk, 30 * MIB)


def test_an_upload_that_arrives_holds_the_rest_of_its_space(disk: Disk, clock: Clock) -> None:
    reserve(disk, 80 * MIB)
    clock.ahead += reservations.FULL_SECONDS
    body(disk, clock, 10 * MIB)
    disk.free -= 10 * MIB
    with pytest.raises(StorageFull):
        reserve(disk, 30 * MIB)
    clock.ahead += reservations.IDLE_SECONDS  # it has stopped
    reserve(disk, 30 * MIB)


def test_a_slow_upload_holds_no_more_than_can_arrive_soon(disk: Disk, clock: Clock) -> None:
    reserve(disk, 80 * MIB)
    clock.ahead += reservations.AHEAD_SECONDS
    body(disk, clock, 5 * MIB)
    reserve(disk, 90 * MIB)
    with pytest.raises(StorageFull):
        reserve(disk, 6 * MIB)


def test_a_body_is_matched_to_the_best_fitting_reservation(disk: Disk, clock: Clock) -> None:
    reserve(disk, 20 * MIB)
    reserve(disk, 80 * MIB)
    clock.ahead += reservations.FULL_SECONDS
    body(disk, clock, 15 * MIB)
    reserve(disk, 90 * MIB)  # beside the last 5 MiB of the one that arrives


def test_one_client_reserves_no_more_than_its_share(disk: Disk) -> None:
    reserve(disk, 60 * MIB, "token 1")
    with pytest.raises(StorageFull):
        reserve(disk, 30 * MIB, "token 1")
    reserve(disk, 30 * MIB, "token 2")


def test_the_last_inodes_of_a_disk_stay_free(tmp_path: Path) -> None:
    full = Reservations(tmp_path, keep_free=0, keep_files=2**62)
    with pytest.raises(StorageFull):
        full.check_spool_space()


def test_a_fetch_allocates_nothing_before_it_arrives(disk: Disk, clock: Clock) -> None:
    offer = Fetched("http://h/a", "a", Version(70 * MIB, '"one"'))
    with PartialFile(disk, "transfer", "ab1") as partial:
        partial.begin(offer, resumed=False)
        assert partial.path.stat().st_blocks == 0
        with pytest.raises(StorageFull):
            reserve(disk, 40 * MIB)
        clock.ahead += reservations.IDLE_SECONDS
        reserve(disk, 40 * MIB)
    disk.free = 50 * MIB
    reserve(disk, 5 * MIB)  # the fetch has given its space back


def test_a_fetch_that_announces_nothing_stops_where_space_must_stay_free(disk: Disk) -> None:
    with PartialFile(disk, "transfer", "ab1") as partial:
        partial.begin(Fetched("http://h/a", "a", Version(None, None)), resumed=False)
        partial.write_at(0, bytes(1000))
        disk.free = 1500
        partial.write_at(1000, bytes(1000))
        disk.free = 500
        with pytest.raises(StorageFull):
            partial.write_at(2000, bytes(1000))


def test_one_origin_reserves_no_more_than_its_share(disk: Disk) -> None:
    with PartialFile(disk, "transfer", "ab1") as partial, pytest.raises(StorageFull):
        partial.begin(Fetched("http://h/a", "a", Version(90 * MIB, '"one"')), resumed=False)


def test_it_looks_at_no_body_while_all_that_is_announced_fits(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, bodies = [], disk.bodies

    def noted() -> list[reservations.Body]:
        looks.append(disk.spool)
        return bodies()

    monkeypatch.setattr(disk, "bodies", noted)
    for _ in range(4):
        reserve(disk, 20 * MIB, client="one")
    assert looks == []
    with pytest.raises(StorageFull):
        reserve(disk, 10 * MIB, client="one")  # beyond its share
    assert looks == [disk.spool]
