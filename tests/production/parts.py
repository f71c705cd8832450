"""The parts of a running stack: stop, freeze and inspect them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
import requests

from tests.services import Service, await_


def supervisorctl(service: Service, *words: str) -> str:
    config = service.data / "etc/supervisor/stack.conf"
    command = [f"{sys.prefix}/bin/supervisorctl", "-c", str(config), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def pid_of(service: Service, part: str) -> int:
    return int(supervisorctl(service, "pid", f"stack:{part}"))


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, proc(5)."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def environ_of(service: Service, part: str) -> dict[str, str]:
    """Return the environment in which a part runs."""
    entries = Path(f"/proc/{pid_of(service, part)}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def alive(pid: int) -> bool:
    """Return whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter where it ends between opening and reading
        return False


@contextmanager
def stopped(service: Service, part: str) -> Iterator[None]:
    """Stop a part for the length of the block."""
    assert "stopped" in supervisorctl(service, "stop", f"stack:{part}")
    try:
        yield
    finally:
        assert "started" in supervisorctl(service, "start", f"stack:{part}")
        await_(lambda: requests.get(f"{service.url}/ping", timeout=60).ok)


@contextmanager
def unreachable(service: Service) -> Iterator[None]:
    """Take uWSGI's socket away for the length of the block.

    To nginx this is a stopped uWSGI, whose `vacuum` removes the socket; but it need not load the app again.
    """
    socket = service.data / "run/uwsgi.sock"
    aside = socket.rename(socket.with_name("aside.sock"))
    try:
        yield
    finally:
        aside.rename(socket)


@contextmanager
def frozen(service: Service, part: str) -> Iterator[None]:
    """Freeze a part, with the processes that it has started, for the length of the block."""
    pids = [pid_of(service, part)]
    os.kill(pids[0], signal.SIGSTOP)
    for pid in pids:  # those that are found are looked at in turn; a frozen one starts no other
        for child in children(pid):
            os.kill(child, signal.SIGSTOP)
            pids.append(child)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def full(service: Service, part: str) -> Iterator[None]:
    """Let a Redis refuse whatever takes memory for the length of the block."""
    name = {"redis-broker": "BROKER_URL", "redis-cache": "CACHE_URL"}[part]
    address = environ_of(service, "web")[name].partition("://")[2]
    with redis.Redis(unix_socket_path=address, decode_responses=True) as client:
        before = client.config_get("maxmemory*")
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            for setting in ("maxmemory", "maxmemory-policy"):
                client.config_set(setting, before[setting])
