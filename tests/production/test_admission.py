"""Space for uploads: reserved before their first byte, released however they end."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from tests.mounts import mounting
from tests.services import Service, await_, running

MIB = 1024**2
UPLOAD = 100 * MIB
KEPT = 100 * MIB
MOUNT = 'set -e; mount -t tmpfs -o size=$1,mode=0777 tmpfs "$2"; shift 2; exec "$@"'


@pytest.fixture(scope="module", params=["embedded", "production"])
def tight(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real service, which may fill 650 MiB of a filesystem that is mounted for it alone, and gone with it."""
    folder = tmp_path_factory.mktemp("tight")
    disk = folder / "disk"
    disk.mkdir()
    prefix = mounting(MOUNT, str(650 * MIB + KEPT), str(disk))
    places = {"SPOOL_DIR": str(disk / "incoming"), "STORE_DIR": str(disk / "store"), "KEEP_FREE": str(KEPT)}
    with running(request.param, folder / "data", prefix=prefix, **places) as service:
        yield replace(service, spool=Path(f"/proc/{service.process.pid}/root/{disk}/incoming"))


def announce(service: Service, length: int) -> socket.socket:
    """Begin an upload of so many bytes, and return the connection once there is room for it."""
    before = len(promises(service))
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=60)
    connection.sendall(f"POST /v1/streams HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n".encode())
    await_(lambda: len(promises(service)) == before + 1)
    return connection


def refused(service: Service, length: int, tmp_path: Path) -> int:
    """Upload so many bytes and return the status."""
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(length)
    with large.open("rb") as file:
        return requests.post(f"{service.url}/v1/streams", data=file, timeout=60).status_code


def promises(service: Service) -> list[Path]:
    folder = service.spool / ".reserved"
    return [path for path in folder.iterdir() if path.name != "lock"] if folder.exists() else []


def test_uploads_that_do_not_fit_together_are_refused_before_their_first_byte(tight: Service, tmp_path: Path) -> None:
    first = [announce(tight, UPLOAD) for _ in range(3)]
    assert refused(tight, 500 * MIB, tmp_path) == 507
    assert len(promises(tight)) == 3

    first[0].close()  # aborted: its room is free again
    await_(lambda: len(promises(tight)) == 2)
    first[1].sendall(bytes(UPLOAD))
    assert b" 201 " in first[1].recv(4096)
    await_(lambda: len(promises(tight)) == 1)
    first[2].close()
    await_(lambda: not promises(tight))


def test_what_has_come_in_is_not_counted_twice(tight: Service) -> None:
    connection = announce(tight, UPLOAD)
    for _ in range(99):
        connection.sendall(bytes(MIB))
    await_(lambda: sum(path.stat().st_size for path in tight.spooled() if path.is_file()) > 95 * MIB)
    second = announce(tight, 4 * UPLOAD)
    for open_one in (connection, second):
        open_one.close()
    await_(lambda: not promises(tight))


def test_small_uploads_deletes_and_reads_go_on(tight: Service) -> None:
    held = [announce(tight, UPLOAD) for _ in range(3)]
    stream = requests.post(f"{tight.url}/v1/streams", data=b"small", timeout=60).json()["id"]
    url = f"{tight.url}/v1/streams/{stream}"
    assert requests.get(url, timeout=60).content == b"small"
    assert requests.delete(url, timeout=60).status_code == 200
    for connection in held:
        connection.close()
    await_(lambda: not promises(tight))


def test_a_disk_that_is_full_takes_no_uploads_and_still_deletes(tmp_path: Path) -> None:
    with running("embedded", tmp_path / "data") as service:
        stream = requests.post(f"{service.url}/v1/streams", data=b"small", timeout=60).json()["id"]
    with running("embedded", tmp_path / "data", KEEP_FREE="1000TiB") as service:
        url = f"{service.url}/v1/streams"
        assert requests.post(url, data=b"small", timeout=60).status_code == 507
        assert requests.post(url, data=bytes(20 * MIB), timeout=60).status_code == 507
        assert service.spooled() == set()
        assert requests.get(f"{url}/{stream}", timeout=60).content == b"small"
        assert requests.delete(f"{url}/{stream}", timeout=60).status_code == 200
