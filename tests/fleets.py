"""A fleet under test, and how its hosts fail: they die, or lose their network."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import obstore
from obstore.store import S3Store

from deploy.fleet import ACCESS_KEY, BUCKET, HOSTS, REGION, address, network
from tests import services
from tests.object_stores import signal_all
from tests.services import Service, files_below
from vimeo_api.config import secret


class Fleet(Service):
    """A running service of several hosts, behind its balancer."""

    @property
    def network(self) -> str:
        """The first three numbers of all addresses."""
        return network(self.port)

    def address(self, host: str) -> str:
        """Return the address of a host."""
        return address(self.port, host)

    def folder(self, host: str) -> Path:
        """Return the data folder of a host."""
        return self.data / "fleet" / host

    def stored(self) -> set[Path]:
        """Return the blobs that are placed, or wait in the pending area of any host."""
        pending = {Path(*path.parts[-3:]) for path in self.pending()}
        return pending | {Path(key) for key in self.objects()}

    def pending(self) -> list[Path]:
        """Return the files in the pending area of any host; placed ones stay for a while."""
        return [path for host in HOSTS for path in files_below(self.folder(host) / "incoming/landing")]

    def spooled(self) -> set[Path]:
        areas = [self.folder(host) / "incoming" for host in HOSTS]
        kept = {".reserved", "unfinished", "landing"}
        return {path for area in areas if area.exists() for path in area.iterdir() if path.name not in kept}

    def objects(self) -> set[str]:
        """Return the keys of all objects in the object store."""
        client = S3Store(
            BUCKET,
            endpoint=f"http://{self.address('services')}:8333",
            region=REGION,
            access_key_id=ACCESS_KEY,
            secret_access_key=secret.secret_key(self.data / "fleet"),
            client_options={"allow_http": True},
        )
        return {entry["path"] for page in obstore.list(client) for entry in page}


@contextmanager
def running(**settings: str) -> Iterator[Fleet]:
    """Run a fleet until the block ends; the folders of pytest are closed to its services."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        Path(folder).chmod(0o755)
        with services.running("fleet", Path(folder) / "data", **settings) as service:
            yield Fleet(**{field.name: getattr(service, field.name) for field in fields(Service)})


def kill(data: Path) -> bool:
    """Kill everything on the host with this data folder at once; return whether anything ran there."""
    found = _processes(data)
    signal_all(found, signal.SIGKILL)
    return bool(found)


@contextmanager
def cut_off(data: Path) -> Iterator[bool]:
    """Cut the host with this data folder off from the network; yield whether anything runs there."""
    found = _processes(data)
    if not found:
        yield False
        return
    enter = _entering(found[0])
    subprocess.run([*enter, "ip", "link", "set", "eth0", "down"], check=True)
    try:
        yield True
    finally:
        subprocess.run([*enter, "ip", "link", "set", "eth0", "up"], check=True)


@contextmanager
def parted(data: Path, address: str) -> Iterator[None]:
    """Keep the host with this data folder from reaching another host, which reaches all others but this one."""
    route = ["ip", "route", "{}", "blackhole", f"{address}/32"]
    enter = _entering(_processes(data)[0])
    subprocess.run([*enter, *(word.format("add") for word in route)], check=True)
    try:
        yield
    finally:
        subprocess.run([*enter, *(word.format("del") for word in route)], check=True)


def object_store(data: Path) -> list[int]:
    """Return the processes of the object store whose files are below this data folder."""
    folder = f"-dir={data / 'fleet/objects'}\0".encode()
    weeds = (entry for entry in _entries() if _read(entry / "comm") == b"weed\n")
    found = [int(entry.name) for entry in weeds if folder in _read(entry / "cmdline")]
    assert found
    return found


def _processes(data: Path) -> list[int]:
    """Return everything that runs on a host, but for the process that keeps its network."""
    name = f"DATA_DIR={data}\0".encode()
    space = next((_space(entry) for entry in _entries() if name in _read(entry / "environ")), None)
    there = [entry for entry in _entries() if space and _space(entry) == space]
    return [int(entry.name) for entry in there if not _keeps_network(entry)]


def _entering(pid: int) -> list[str]:
    """Return how to run a command on the host of a process, even if that host dies meanwhile."""
    return ["nsenter", f"--net=/proc/{_keeper(pid)}/ns/net"]


def _keeper(pid: int) -> int:
    """Return the process that keeps the network of the host on which another one runs."""
    space = _space(Path(f"/proc/{pid}"))
    return next(int(entry.name) for entry in _entries() if _space(entry) == space and _keeps_network(entry))


def _keeps_network(entry: Path) -> bool:
    return b"infinity" in _read(entry / "cmdline")


def _entries() -> Iterator[Path]:
    return Path("/proc").glob("[0-9]*")


def _space(entry: Path) -> Path | None:
    """Return the network namespace of a process."""
    try:
        return (entry / "ns/net").readlink()
    except OSError:
        return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
