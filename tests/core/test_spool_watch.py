"""The watch over the spool: bodies that nobody has reserved space for are cut off before the disk is full."""

from pathlib import Path

import pytest
from flask import Flask

from tests.core.test_reservations import MIB, Disk
from vimeo_api.core import identifiers
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.storage.spool_watch import LONGEST_PAUSE, SHORTEST_PAUSE, SpoolWatch
from vimeo_api.extensions import blobs

KEPT = 10 * MIB  # free; the margin above it is as large


@pytest.fixture
def disk(app: Flask) -> Disk:
    return Disk(blobs.spool, keep_free=KEPT)


def body(disk: Disk, size: int) -> Path:
    path = disk.spool / f"{len(disk.bodies()) + 1:010}"
    path.write_bytes(bytes(size))
    return path


def test_it_checks_more_often_the_less_space_is_free(disk: Disk) -> None:
    watch = SpoolWatch(disk)
    disk.free = 100 * 1024**3
    assert watch.look() == LONGEST_PAUSE
    disk.free = 2 * KEPT + MIB
    assert watch.look() == SHORTEST_PAUSE


def test_the_largest_body_is_cut_off_and_stays_empty(disk: Disk) -> None:
    largest, other = body(disk, 3 * MIB), body(disk, 2 * MIB)
    watch = SpoolWatch(disk)
    disk.free = 2 * KEPT - MIB
    watch.look()
    assert (largest.stat().st_size, other.stat().st_size) == (0, 2 * MIB)
    disk.free = 100 * MIB
    for again in (watch, SpoolWatch(disk)):  # also after a restart
        largest.write_bytes(bytes(MIB))  # nginx goes on
        again.look()
        assert largest.stat().st_size == 0
    with pytest.raises(StorageFull):
        blobs.adopt(largest)


def test_small_bodies_and_reserved_ones_may_use_the_margin_but_no_more(disk: Disk) -> None:
    small, reserved = body(disk, MIB // 2), body(disk, 3 * MIB)
    disk.reserve(identifiers.random_hex(), 20 * MIB)
    watch = SpoolWatch(disk)
    disk.free = KEPT
    watch.look()
    assert (small.stat().st_size, reserved.stat().st_size) == (MIB // 2, 3 * MIB)
    disk.free = KEPT - 2 * MIB
    watch.look()
    assert (small.stat().st_size, reserved.stat().st_size) == (0, 0)


def test_it_does_not_truncate_bodies_that_the_service_is_handling(disk: Disk) -> None:
    published, adopted = body(disk, 2 * MIB), body(disk, 2 * MIB)
    (disk.spool / "second-name").hardlink_to(published)
    ours = disk.spool / "fetch-transfer-ab1"
    ours.write_bytes(bytes(2 * MIB))
    disk.free = 0
    with blobs.adopt(adopted):
        SpoolWatch(disk).look()
    assert {path.stat().st_size for path in (published, adopted, ours)} == {2 * MIB}


def test_a_disk_without_a_reserve_is_left_to_nginx(app: Flask) -> None:
    disk = Disk(blobs.spool, keep_free=0)
    path = body(disk, 2 * MIB)
    disk.free = 0
    SpoolWatch(disk).look()
    assert path.stat().st_size == 2 * MIB
