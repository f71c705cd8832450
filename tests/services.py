"""The real service under test: started as users start it, on a free port, in its own folder."""

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120
STOP_SECONDS = 120
PORTS = range(11_000, 32_000)  # below the ephemeral ports, ip(7)
PORT_WORKERS = 8
_given_ports: set[int] = set()  # by this process
GRACE_SECONDS = 15  # of the services that most tests share: long enough to resume a download
LARGE = 128 * 1024**2  # bytes; the upload limit where the parts of a stack are tested
FETCH_WAITERS = 2  # requests per process that may wait for a fetch, where URLs are fetched
SETTINGS = {
    "GRACE_SECONDS": "3",
    "LEASE_SECONDS": "8",
    "LEASE_MIN_RATE": "64MiB",
    "FETCH_URLS": "0",
    "PASSWORD_LIMIT_ADDRESS": "1000 per minute",  # all tests have the same address
    "HOSTS": "*",  # tests that write their own requests name any host; test_host_names has the default
}
may_start = True  # whether `running` may be called now
COMMANDS = {"embedded": ["manage.py", "runserver"], "production": ["deploy/stack.py"], "fleet": ["deploy/fleet.py"]}


@dataclass(frozen=True)
class Service:
    """A running service, and what a test may know about its host."""

    profile: str
    url: str
    data: Path
    spool: Path
    process: "subprocess.Popen[str]"

    @property
    def vimeo(self) -> str:
        return f"{self.url}/vimeo/api/v1.0/file"

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def stored(self) -> set[Path]:
        """Return the files in the store; its folders come and go meanwhile."""
        found = {Path(folder) / name for folder, _, names in os.walk(self.data / "store") for name in names}
        return {path for path in found if not path.name.startswith(".")}

    def spooled(self) -> set[Path]:
        return {path for path in self.spool.iterdir() if path.name not in {".reserved", "unfinished"}}

    def log_sizes(self) -> dict[Path, int]:
        """Return the length of each log; `logs_since` reads on from there."""
        logs = [self.data.with_name(f"{self.data.name}.out"), *(self.data / "log").glob("*")]
        return {path: path.stat().st_size for path in logs}

    def logs_since(self, sizes: Mapping[Path, int]) -> str:
        """Return what was logged since then, including new logs."""
        return "\n".join(_read_from(path, sizes.get(path, 0)) for path in self.log_sizes())


def _read_from(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace")


@contextmanager
def running(profile: str, data: Path, *, prefix: Sequence[str] = (), **settings: str) -> Iterator[Service]:
    """Run the service until the block ends; fail if it does not start or does not stop when it should.

    `prefix` comes before the command, such as a command that changes the user.
    """
    assert may_start, "mark this test as slow: it starts a service"
    port = free_port()
    environ = {**os.environ, **SETTINGS, **settings, "PORT": str(port), "DATA_DIR": str(data), "PROFILE": profile}
    output = data.parent / f"{data.name}.out"
    with output.open("w") as out:
        process = subprocess.Popen(
            [*prefix, sys.executable, *COMMANDS[profile]],
            cwd=ROOT,
            env=environ,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        with tied(process):
            try:
                await_(lambda: process.poll() is not None or " is ready on " in output.read_text(), START_SECONDS)
            except AssertionError:
                raise AssertionError(f"no start within {START_SECONDS} s: {output.read_text()}") from None
            assert process.poll() is None, output.read_text()
            spool = Path(settings.get("SPOOL_DIR", data / "incoming"))
            yield Service(profile, f"http://127.0.0.1:{port}", data, spool, process)


@contextmanager
def tied(process: "subprocess.Popen[str]") -> Iterator[None]:
    """End a service with the block, even if this process is killed.

    A shell waits for the end of a pipe that only we hold open. PR_SET_PDEATHSIG is not enough: the stack changes its
    user, and the kernel then clears it (prctl(2)).
    """
    ends = f"for second in $(seq {STOP_SECONDS}); do sleep 1; kill -0 {process.pid} || exit 0; done"
    end = f"read -r _; kill -TERM {process.pid}; {ends}; kill -KILL {process.pid}"
    with subprocess.Popen(
        ["sh", "-c", end], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as watcher:
        try:
            yield
        finally:
            try:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
                    assert process.wait(STOP_SECONDS) == 0
            finally:
                process.kill()  # does nothing once it has been waited for
                watcher.kill()


def await_(condition: Callable[[], T], seconds: float = 60) -> T:
    """Return the condition's first true value; fail after `seconds` without one."""
    begun = time.monotonic()
    while not (value := condition()):
        waited = time.monotonic() - begun
        assert waited < seconds, f"not within {seconds} s"
        time.sleep(min(max(0.02, waited / 10), 0.2))  # the longer it takes, the more asking would cost
    return value


def unlocked(url: str, **options: Any) -> requests.Response:
    """Download once the lease is over: the end of a download is recorded a moment after the client has it."""
    locked = requests.codes.locked
    responses = await_(lambda: [one for one in [requests.get(url, timeout=60, **options)] if one.status_code != locked])
    return responses[0]


def used_up(url: str, **options: Any) -> bool:
    """Return whether a one-time file is gone, once its lease is over."""
    return bool(unlocked(url, **options).status_code == requests.codes.gone)


def pids_of(service: Service, words: str) -> list[int]:
    """Return the processes of a service whose command line contains some words."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if f" {words} " not in f"{line} ":
                continue
            environ = (entry / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if f"DATA_DIR={service.data}\0" in environ:
            found.append(int(entry.name))
    return found


def processes_of(data: Path) -> list[str]:
    """Return the command lines of all processes that use a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environ = (entry / "environ").read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if entry.name != str(os.getpid()) and (str(data) in line or f"DATA_DIR={data}" in environ):
            found.append(line)
    return found


def killed(service: Service) -> None:
    """Kill the head of a service, and await the end of its parts."""
    service.process.kill()
    service.process.wait(60)
    await_(lambda: not processes_of(service.data))


def files_below(folder: Path) -> list[Path]:
    """Return the files in all folders below one, but for those whose names begin with a dot."""
    return [Path(at) / name for at, _, names in os.walk(folder) for name in names if not name.startswith(".")]


@contextmanager
def other_filesystem() -> Iterator[Path]:
    """Yield a new folder on another filesystem than the temporary folder: every Linux has a tmpfs at /dev/shm."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        assert Path(name).stat().st_dev != Path(tempfile.gettempdir()).stat().st_dev
        yield Path(name)


def free_port() -> int:
    """Return a free port that stays free until a service listens on it.

    It is not one that the kernel assigns (ip_local_port_range), each worker of xdist has its own ports, and none
    comes twice.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PORT_WORKERS
    while True:
        port = random.randrange(PORTS.start + worker, PORTS.stop, PORT_WORKERS)
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do, despite lingering connections
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                _given_ports.add(port)
                return port
