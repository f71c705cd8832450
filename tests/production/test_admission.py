"""Space for uploads: reserved before their first byte, released however they end."""

import fcntl
import http.client
import json
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import requests

from tests.groups import PROFILES
from tests.mounts import mounting
from tests.outages.disks import TIGHT, Shaky
from tests.services import Service, await_, running

MIB = 1024**2
DISK = 64 * MIB
UPLOAD = 12 * MIB
KEPT = 10 * MIB  # free, of the embedded service's
MOUNT = 'set -e; mount -t tmpfs -o size=$1,mode=0777 tmpfs "$2"; shift 2; exec "$@"'


@pytest.fixture(scope="module")
def tight_embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Service]]:
    """The embedded service, with 64 MiB of a filesystem that is mounted for it alone; started when asked for."""
    with ExitStack() as stack:

        @cache
        def start() -> Service:
            folder = tmp_path_factory.mktemp("tight")
            disk = folder / "disk"
            disk.mkdir()
            prefix = mounting(MOUNT, str(DISK + KEPT), str(disk))
            places = {"SPOOL_DIR": str(disk / "incoming"), "STORE_DIR": str(disk / "store")}
            settings = {**TIGHT, **places, "KEEP_FREE": str(KEPT)}
            service = stack.enter_context(running("embedded", folder / "data", prefix=prefix, **settings))
            return replace(service, spool=Path(f"/proc/{service.process.pid}/root/{disk}/incoming"))

        yield start


@pytest.fixture(params=PROFILES)
def tight(
    request: pytest.FixtureRequest, tight_embedded: Callable[[], Service], shaking: Callable[[], Shaky]
) -> Service:
    """The real service, with 64 MiB for what comes in."""
    if request.param == "embedded":
        return tight_embedded()
    shaky = shaking()
    await_(lambda: shaky.settled, 60)
    return replace(shaky.service, spool=shaky.seen("incoming"))


def announce(service: Service, length: int) -> socket.socket:
    """Begin an upload of a number of bytes, and return the connection once it has its reservation."""
    before = len(promises(service))
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=60)
    connection.sendall(f"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode())
    await_(lambda: len(promises(service)) == before + 1)
    return connection


def refused(service: Service, length: int, tmp_path: Path) -> int:
    """Upload a number of bytes and return the status."""
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
    assert refused(tight, 40 * MIB, tmp_path) == 507
    assert len(promises(tight)) == 3

    first[0].close()  # aborted: its space is free again
    await_(lambda: len(promises(tight)) == 2)
    first[1].sendall(bytes(UPLOAD))
    answer = http.client.HTTPResponse(first[1])
    answer.begin()
    assert answer.status == 201
    key = json.load(answer)["id"]
    assert requests.delete(f"{tight.url}/v1/streams/{key}", timeout=60).status_code == 200
    await_(lambda: len(promises(tight)) == 1)
    first[2].close()
    await_(lambda: not promises(tight))


def test_received_bytes_are_not_counted_twice(tight: Service) -> None:
    connection = announce(tight, UPLOAD)
    connection.sendall(bytes(UPLOAD - MIB))
    await_(lambda: sum(path.stat().st_size for path in tight.spooled() if path.is_file()) > UPLOAD - 2 * MIB)
    second = announce(tight, 43 * MIB)  # beside 12 MiB, but not beside twice that
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


def test_an_endless_upload_leaves_what_must_stay_free(tight_embedded: Callable[[], Service]) -> None:
    tight = tight_embedded()
    connection = socket.create_connection(("127.0.0.1", tight.port), timeout=60)
    connection.sendall(b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    least = DISK + KEPT
    for _ in range(70):
        connection.sendall(b"100000\r\n" + bytes(MIB) + b"\r\n")
        least = min(least, shutil.disk_usage(tight.spool).free)
    connection.sendall(b"0\r\n\r\n")
    assert connection.recv(1000).startswith(b"HTTP/1.1 507 ")
    connection.close()
    assert least >= KEPT - 64 * 1024


def test_nginx_is_watched_while_it_writes(stack: Service) -> None:
    lock = stack.data / "locks/spool-watch"
    with lock.open("w") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_an_upload_that_was_cut_off_is_507_in_the_words_of_its_surface(stack: Service) -> None:
    before = stack.spooled()
    connection = socket.create_connection(("127.0.0.1", stack.port), timeout=60)
    connection.sendall(f"POST /uploadFile HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MIB}\r\n".encode())
    connection.sendall(b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + bytes(MIB // 2))
    (body,) = await_(lambda: [path for path in stack.spooled() - before if path.name.isdigit()])
    body.chmod(0o700)  # as the watch marks it
    connection.sendall(bytes(MIB // 2))
    response = http.client.HTTPResponse(connection)
    response.begin()
    assert (response.status, json.load(response)) == (507, {"error": "No space left on device"})
    connection.close()


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
