"""The services that are measured: one host with a filesystem, a fleet with an object store, and a plain nginx."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import obstore
import psycopg
from obstore.store import S3Store

from benchmarks.serving.parts import Parts, parts_of
from benchmarks.serving.place import Place
from benchmarks.serving.processes import free_port, running
from benchmarks.serving.service import REPOSITORY, Service
from deploy.fleet import ACCESS_KEY, BUCKET, HOSTS, PEER_PORT, REGION, address, network, shared_settings
from vimeo_api.config import secret
from vimeo_api.core.storage.folders import relative

SETTINGS = {
    "PROFILE": "production",
    "GRACE_SECONDS": "1",  # so that the removal of bytes is part of the turn that causes it
    "FETCH_ALLOW_PRIVATE": "1",
    "FETCH_PER_CLIENT": "8",
    "FETCH_PER_ORIGIN": "8",
}
START_SECONDS = 600  # deploy/fleet.py gives up earlier, host by host
SETTLE_SECONDS = 300
POLL_SECONDS = 0.3
# Work that requests have left behind.
UNSETTLED = (
    "SELECT count(*) FROM files WHERE place_due_at IS NOT NULL OR status = 'fetching' "
    "OR (due_at IS NOT NULL AND status IN ('leased', 'gone')) OR (digest IS NULL AND status = 'available')"
)
# Nothing but the same bytes: from a file, and from the object store.
NGINX = """
daemon off;
{user}
pid {folder}/nginx.pid;
worker_processes auto;
events {{ worker_connections 4096; }}
http {{
    access_log {folder}/access.log combined buffer=64k flush=1s;
    sendfile on;
    proxy_temp_path {folder}/proxy;
    client_body_temp_path {folder}/body;
    keepalive_requests 1000000;
    upstream objects {{
        server {objects};
        keepalive 64;
    }}
    server {{
        listen {listen};
        location / {{
            root {files};
        }}
        location = /object {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host {objects};
            proxy_pass http://objects{path};
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Site:
    """A running service, and its parts."""

    service: Service
    parts: Parts
    us: str  # the address by which it reaches us
    database: psycopg.Connection

    def settle(self) -> None:
        """Wait until workers have done what the requests left to them."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (row := self.database.execute(UNSETTLED).fetchone()) and row[0]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{row[0]} files wait for workers after {SETTLE_SECONDS} s")
            time.sleep(POLL_SECONDS)

    def keys(self, surface: str, after: int) -> list[str]:
        """Return the keys of a surface's files that were stored after a row."""
        rows = self.database.execute(
            "SELECT key FROM files WHERE surface = %s AND id > %s AND status = 'available'", (surface, after)
        )
        return [str(key) for (key,) in rows]

    def last(self) -> int:
        """Return the number of the newest row."""
        row = self.database.execute("SELECT coalesce(max(id), 0) FROM files").fetchone()
        return int(row[0]) if row else 0

    def cost(self, work: Callable[[], float], idle: Mapping[str, float]) -> dict[str, float]:
        """Return the CPU seconds of each part for one unit of some work, without what it uses when idle."""
        before, begin = self.parts.cpu(), time.monotonic()
        count = work()
        self.settle()
        used, seconds = self.parts.cpu(), time.monotonic() - begin
        return {part: max(0.0, used[part] - before[part] - idle.get(part, 0) * seconds) / count for part in used}


@contextmanager
def one_host(where: Place) -> Iterator[Site]:
    """Run `make stack`."""
    with _running(where, "host", "deploy/stack.py") as service, _site(service, [service.data], "127.0.0.1") as site:
        yield site


@contextmanager
def fleet(where: Place) -> Iterator[Site]:
    """Run `make fleet`; `service` is the balancer, with the database of the host `services`."""
    where.folder.chmod(0o755)  # www-data reads the object store's folder
    with _running(where, "fleet", "deploy/fleet.py") as running_fleet:
        data = running_fleet.data / "fleet"
        service = Service(running_fleet.port, data / "services", running_fleet.pid)
        found = {"weed server": "object store", "haproxy -db": "balancer"}
        others = {part: _process(words, data) for words, part in found.items()}
        with _site(service, [data / name for name in HOSTS], f"{network(service.port)}.1", **others) as site:
            yield site


def first_host(service: Service) -> str:
    """Return where the fleet's host `a` serves without the balancer."""
    return f"http://{address(service.port, 'a')}:{PEER_PORT}"


@contextmanager
def placing_through(where: Place, fleet: Site) -> Iterator[str]:
    """Run one more host of the fleet, on which PLACE=through; yield where it serves."""
    services, kept = address(fleet.service.port, "services"), fleet.service.data.parent
    environ = {
        **shared_settings(services, kept),
        "HOST_NAME": "through",
        "STACK_PARTS": "web nginx worker placer",
        "PLACE": "through",
    }
    with _running(where, "through", "deploy/stack.py", **environ) as service:
        yield service.origin


@contextmanager
def plain_nginx(where: Place, fleet: Site, key: str) -> Iterator[tuple[str, int]]:
    """Run nginx alone on the fleet's host `a`; yield where it serves the folder and `/object`, and its process."""
    services = address(fleet.service.port, "services")
    listen = f"{address(fleet.service.port, 'a')}:8010"
    row = fleet.database.execute("SELECT surface, blob FROM files WHERE key = %s", (key,)).fetchone()
    if row is None:
        raise ValueError(f"there is no file {key}")
    client = S3Store(
        BUCKET,
        endpoint=f"http://{services}:8333",
        region=REGION,
        access_key_id=ACCESS_KEY,
        secret_access_key=secret.secret_key(fleet.service.data.parent),
        client_options={"allow_http": True},
    )
    signed = obstore.sign(client, "GET", relative(row[0], row[1]), timedelta(hours=6))
    folder = where.folder / "plain"
    folder.mkdir()
    configuration = NGINX.format(
        user="user root;" if os.geteuid() == 0 else "",
        folder=folder,
        files=where.folder,
        listen=listen,
        objects=f"{services}:8333",
        path="/" + signed.split("/", 3)[3],
    )
    (folder / "nginx.conf").write_text(configuration)
    space = str(_nginx_of(fleet.service.data.parent / "a"))
    command = ["nsenter", "-t", space, "-n", "--", "nginx", "-p", str(folder), "-e", str(folder / "error.log")]
    log, ready = folder / "nginx.log", (folder / "nginx.pid").exists
    with running([*command, "-c", str(folder / "nginx.conf")], log=log, ready=ready) as pid:
        yield f"http://{listen}", pid


def _nginx_of(host: Path) -> int:
    return parts_of([host]).roots["nginx"][0]


@contextmanager
def _running(where: Place, name: str, script: str, **settings: str) -> Iterator[Service]:
    port, data, log = free_port(), where.folder / name, where.folder / f"{name}.log"
    with running(
        [sys.executable, REPOSITORY / script],
        log=log,
        ready=lambda: f" is ready on http://127.0.0.1:{port}" in log.read_text(),
        environ={**SETTINGS, **settings, "PORT": str(port), "DATA_DIR": str(data)},
        cwd=REPOSITORY,
        stop=signal.SIGINT,
        start_seconds=START_SECONDS,
    ) as pid:
        yield Service(port, data, pid)


@contextmanager
def _site(service: Service, hosts: list[Path], us: str, **others: int) -> Iterator[Site]:
    with psycopg.connect(
        host=str(service.data / "run"), user="vimeo_api", dbname="vimeo_api", autocommit=True
    ) as database:
        yield Site(service, parts_of(hosts, **others), us, database)


def _process(words: str, data: Path) -> int:
    """Return the first process with these words in its command line, and the folder of our fleet."""
    for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if words in line and str(data) in line:
            return int(entry.name)
    raise ValueError(f"no process `{words}`")
