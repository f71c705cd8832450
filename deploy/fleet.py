"""Run a service of several hosts on this machine, in the foreground: `make fleet`.

Two web hosts, a host for workers and one for PostgreSQL, the two Redis and an object store (SeaweedFS), each in a
network namespace of its own; HAProxy listens on PORT. A host is what `deploy/stack.py` runs, with some of the parts, so
it uses the same files as every other deployment. It needs root, for the namespaces.

         PORT
           |
        HAProxy ──┬── a: nginx, web, workers ──┬── services: PostgreSQL, Redis, Redis, SeaweedFS
                  └── b: nginx, web, workers ──┤
                                     worker ───┘

The namespaces are those of processes that end with us, so nothing is left behind, however we end.
Sources: network_namespaces(7), mount_namespaces(7), veth(4), nsenter(1), haproxy(1).
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from vimeo_api.config import secret  # noqa: E402 -- a script: the checkout is not installed

START_SECONDS = 120
STOP_SECONDS = 75  # a worker may take 60
RESTART_SECONDS = 10  # after which a host that has ended starts again, as a machine does
POLL_SECONDS = 0.05
HOST_PORT = 8000  # of nginx on each web host
PEER_PORT = 8001  # where it listens for the other hosts
BUCKET = "files"
ACCESS_KEY, REGION = "fleet", "us-east-1"
TIED = ("setpriv", "--pdeathsig", "KILL", "--")  # ends with us, however we end
USER = ("setpriv", "--reuid", "www-data", "--regid", "www-data", "--clear-groups", "--pdeathsig", "KILL", "--")
# What the network of the hosts needs.
NETWORK = "ip link add bridge type bridge && ip link add end type veth peer name other"
PROGRAMS = ("ip", "mount", "nsenter", "unshare", "setpriv", "haproxy", f"{sys.prefix}/bin/weed")
WORKERS = "worker placer"
# What each host runs, as deploy/stack.py calls it, and the last number of its address.
HOSTS = {
    "services": (2, "postgres redis-broker redis-cache"),
    "a": (11, f"web nginx {WORKERS}"),
    "b": (12, f"web nginx {WORKERS}"),
    "worker": (13, f"web nginx {WORKERS} fetcher beat"),
}
FRONT = ("a", "b")  # the hosts to which the balancer sends clients

# SeaweedFS puts sockets of the same names into /tmp, whoever runs it, so it has a /tmp of its own. The folders of its
# files and of its program may lie there, too, and stay in their places. It ends at times if it starts on a busy
# machine, or is killed: it starts again.
OBJECT_STORE = """
files=$1 program=$2
shift 2
exec 8<"$program" 9<"$files"
mount -t tmpfs tmpfs /tmp
for number in 8 9; do
    [ $number = 8 ] && folder=$program || folder=$files
    case $folder in /tmp/*)
        mkdir -p "$folder"
        mount --no-canonicalize --bind /proc/self/fd/$number "$folder"
    esac
done
exec 8<&- 9<&-
while :; do "$@" || :; sleep 1; done
"""


def network(port: int) -> str:
    """Return the first three numbers of all addresses: fleets with different ports can run side by side."""
    return f"10.77.{port % 256}"


def address(port: int, host: str) -> str:
    """Return the address of a host in the fleet that serves on a port."""
    return f"{network(port)}.{HOSTS[host][0]}"


class FleetError(Exception):
    """The fleet cannot start; the message says why."""


@dataclass(frozen=True)
class Fleet:
    """Where everything is."""

    bind: str
    port: int
    data: Path
    spaces: dict[str, int] = field(default_factory=dict)  # the process whose network namespace a host has

    @property
    def network(self) -> str:
        """The first three numbers of all addresses."""
        return network(self.port)

    def address(self, host: str) -> str:
        """Return the address of a host."""
        return address(self.port, host)

    def within(self, host: str, *command: str) -> list[str]:
        """Return a command as it is run on a host."""
        return ["nsenter", "-t", str(self.spaces[host]), "-n", "--", *command]


def main() -> int:
    """Run the fleet until SIGINT or SIGTERM; return the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs ignore SIGINT
        signal.signal(number, signal.default_int_handler)
    data = Path(os.environ.get("DATA_DIR") or "data").absolute() / "fleet"
    fleet = Fleet(os.environ.get("BIND") or "127.0.0.1", int(os.environ.get("PORT") or 8080), data)
    try:
        _check()
        with ExitStack() as stack:
            _run(fleet, stack)
    except KeyboardInterrupt:
        return 0
    except FleetError as error:
        print(f"fleet: {error}", file=sys.stderr)
    return 1


def _check() -> None:
    if os.geteuid() != 0:
        raise FleetError("network namespaces need root.")
    path = f"{os.environ['PATH']}:/usr/sbin"
    if missing := [name for name in PROGRAMS if not shutil.which(name, path=path)]:
        raise FleetError(f"{', '.join(missing)} not found; `deploy/packages fleet` installs what is missing.")
    # In a container, root may lack the right, or the kernel the modules.
    tried = subprocess.run(["unshare", "--net", "sh", "-c", NETWORK], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise FleetError(f"root can make no network of its own here: {tried.stderr.strip()}")


def _run(fleet: Fleet, stack: ExitStack) -> None:
    """Start the hosts, say when the service is ready, and wait."""
    fleet.data.mkdir(parents=True, exist_ok=True)
    _make_network(fleet, stack)
    services = fleet.address("services")
    secret_key = secret.secret_key(fleet.data)
    objects = Host("objects", stack.enter_context(_object_store(fleet, secret_key)))
    settings = shared_settings(services, fleet.data)
    hosts = [_start(fleet, stack, "services", settings)]
    _await("services", hosts[0].ready.is_set, [*hosts, objects])
    try:
        hosts += [_start(fleet, stack, name, settings) for name in HOSTS if name != "services"]
        for host in hosts:
            _await(host.name, host.ready.is_set, [*hosts, objects])
        _await("the list of hosts", lambda: _are_listed(services), [*hosts, objects])
        balancer = Host("balancer", stack.enter_context(_balancer(fleet)))
        _await("the balancer", lambda: _pings(fleet), [*hosts, balancer])
        print(f"vimeo_api fleet is ready on http://{fleet.bind}:{fleet.port} (all in {fleet.data})", flush=True)
        while all(part.process.poll() is None for part in (objects, balancer)):
            time.sleep(1)
            for at, host in enumerate(hosts):
                if host.process.poll() is not None:
                    print(f"{host.name} ended; it starts again in {RESTART_SECONDS} s", flush=True)
                    time.sleep(RESTART_SECONDS)
                    hosts[at] = _start(fleet, stack, host.name, settings)
    finally:
        _stop(hosts[1:])  # before the services that they need
    raise FleetError("the object store or the balancer ended.")


def shared_settings(services: str, data: Path) -> dict[str, str]:
    """Return the settings that all hosts share: where the services are, and the secrets kept in the data folder."""
    secret_key = secret.secret_key(data)
    return {
        "DATABASE_URL": f"postgresql+psycopg://vimeo_api@{services}/vimeo_api",
        "BROKER_URL": f"redis://{services}:6379/0",
        "CACHE_URL": f"redis://{services}:6380/0",
        "STORE_URL": f"s3://{BUCKET}",
        "STORE_ENDPOINT": f"http://{services}:8333",
        "STORE_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "SECRET_KEY": secret_key,
        "SEALING_KEYS": secret.sealing_keys(data),
        "NOTIFY_SECRETS": secret.notify_secret(data),
    }


def _make_network(fleet: Fleet, stack: ExitStack) -> None:
    """Make a namespace for each host, and one with the bridge that joins them with each other and with us."""
    for name in ("bridge", *HOSTS):
        fleet.spaces[name] = stack.enter_context(_namespace())
    _call(fleet.within("bridge", "ip", "link", "add", "hosts", "type", "bridge"))
    _call(fleet.within("bridge", "ip", "link", "set", "hosts", "up"))
    for name in HOSTS:
        _call(fleet.within("bridge", *_pair(f"to-{name}", "eth0", str(fleet.spaces[name]))))
        _call(fleet.within("bridge", "ip", "link", "set", f"to-{name}", "master", "hosts", "up"))
        _call(fleet.within(name, "ip", "address", "add", f"{fleet.address(name)}/24", "dev", "eth0"))
        for device in ("lo", "eth0"):
            _call(fleet.within(name, "ip", "link", "set", device, "up"))
    # Our end goes away with its other end.
    own = f"fleet{fleet.port}"
    _call(_pair(own, "outside", str(fleet.spaces["bridge"])))
    _call(fleet.within("bridge", "ip", "link", "set", "outside", "master", "hosts", "up"))
    _call(["ip", "address", "add", f"{fleet.network}.1/24", "dev", own])
    _call(["ip", "link", "set", own, "up"])


def _pair(name: str, peer: str, space: str) -> list[str]:
    return ["ip", "link", "add", name, "type", "veth", "peer", "name", peer, "netns", space]


@contextmanager
def _namespace() -> Iterator[int]:
    """Yield a process with a network namespace of its own."""
    with _running([*TIED, "unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL) as process:
        own, its = Path("/proc/self/ns/net").readlink(), Path(f"/proc/{process.pid}/ns/net")
        _await("a network namespace", lambda: its.readlink() != own, [])
        yield process.pid


@contextmanager
def _object_store(fleet: Fleet, secret_key: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the object store on the host `services`."""
    folder = fleet.data / "objects"
    folder.mkdir(mode=0o700, exist_ok=True)
    rights = folder / "rights.json"
    credentials = {"accessKey": ACCESS_KEY, "secretKey": secret_key}
    rights.write_text(json.dumps({"identities": [{"name": "us", "credentials": [credentials], "actions": ["Admin"]}]}))
    shutil.chown(folder, "www-data")
    shutil.chown(rights, "www-data")
    address = fleet.address("services")
    command = fleet.within(
        "services",
        *(*TIED, "unshare", "--mount", "sh", "-e", "-c", OBJECT_STORE, "-", str(folder), sys.prefix),
        *(*USER, f"{sys.prefix}/bin/weed", "server", f"-ip={address}", "-ip.bind=0.0.0.0", f"-dir={folder}"),
        *("-volume.max=0", "-master.volumeSizeLimitMB=1024", "-master.telemetry=false"),
        *("-filer", "-s3", f"-s3.config={rights}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
    )
    with (folder / "weed.log").open("w") as log, _running(command, stdout=log, stderr=log) as process:
        yield process


@dataclass(frozen=True)
class Host:
    """A running host, the object store or the balancer."""

    name: str
    process: "subprocess.Popen[str]"
    ready: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        """Pass on what the host says."""
        for line in self.process.stdout or ():
            if " is ready on " in line:
                self.ready.set()
            else:
                print(f"{self.name}: {line}", end="", flush=True)


def _start(fleet: Fleet, stack: ExitStack, name: str, settings: Mapping[str, str]) -> Host:
    own = {
        "PROFILE": "production",
        "BIND": fleet.address(name),
        "PORT": str(HOST_PORT),
        "DATA_DIR": str(fleet.data / name),
        "HOST_NAME": name,
        "PEER_ADDRESS": "" if name == "services" else f"{fleet.address(name)}:{PEER_PORT}",
        "STACK_PARTS": HOSTS[name][1],
        "STACK_ADDRESS": fleet.address(name) if name == "services" else "",
        "BALANCED": "1",
    }
    command = fleet.within(name, sys.executable, str(ROOT / "deploy/stack.py"))
    environ = {**os.environ, **settings, **own}
    host = Host(name, stack.enter_context(_running(command, environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)))
    threading.Thread(target=host.read, daemon=True).start()
    return host


def _stop(hosts: Sequence[Host]) -> None:
    """Stop hosts, all at once."""
    for host in hosts:
        host.process.terminate()
    for host in hosts:
        host.process.wait(STOP_SECONDS)


@contextmanager
def _balancer(fleet: Fleet) -> Iterator["subprocess.Popen[str]"]:
    """Run HAProxy with deploy/haproxy/haproxy.cfg, in which our addresses replace the example's."""
    text = (ROOT / "deploy/haproxy/haproxy.cfg").read_text()
    folder = fleet.data / "haproxy"
    folder.mkdir(mode=0o700, exist_ok=True)
    shutil.chown(folder, "www-data")
    servers = "\n".join(f"    server {name} {fleet.address(name)}:{HOST_PORT}" for name in FRONT)
    text = re.sub(r"(\n    server .*)+", f"\n{servers}", text)
    text = text.replace("bind :80", f"bind {fleet.bind}:{fleet.port}").replace("/run/haproxy", str(folder))
    path = folder / "haproxy.cfg"
    path.write_text(text)
    path.chmod(0o644)
    with _running([*USER, "haproxy", "-db", "-q", "-f", str(path)]) as process:
        yield process


@contextmanager
def _running(
    command: Sequence[str], environ: Mapping[str, str] | None = None, **streams: object
) -> Iterator["subprocess.Popen[str]"]:
    """Run a command until the block ends."""
    # In a session of its own, so that Ctrl-C goes only to us, and we stop the hosts in order.
    process = subprocess.Popen(command, env=environ, text=True, start_new_session=True, **streams)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _are_listed(services: str) -> bool:
    """Return whether the hosts know where to reach each other: each is listed after its first sweep."""
    with psycopg.connect(host=services, user="vimeo_api", dbname="vimeo_api") as connection:
        listed = {name for (name,) in connection.execute("SELECT name FROM hosts WHERE address IS NOT NULL")}
    return listed >= HOSTS.keys() - {"services"}


def _pings(fleet: Fleet) -> bool:
    connection = HTTPConnection(fleet.bind, fleet.port, timeout=5)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _await(name: str, condition: Callable[[], bool], hosts: Sequence[Host]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if ended := [host.name for host in hosts if host.process.poll() is not None]:
            raise FleetError(f"{', '.join(ended)} ended; the lines above say why.")
        if time.monotonic() > deadline:
            raise FleetError(f"{name} did not start.")
        time.sleep(POLL_SECONDS)


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FleetError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


if __name__ == "__main__":
    sys.exit(main())
