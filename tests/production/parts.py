"""The parts of a running stack: stop, freeze and inspect them."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xmlrpc.client import ServerProxy

import redis
import requests
from supervisor.xmlrpc import SupervisorTransport

from tests.services import Service, await_


def supervisor(service: Service) -> Any:
    """Return supervisord's methods: https://supervisord.org/api.html#process-control."""
    transport = SupervisorTransport(None, None, serverurl=f"unix://{service.data / 'run/supervisor.sock'}")
    return ServerProxy("http://127.0.0.1", transport).supervisor


def pid_of(service: Service, part: str) -> int:
    """Return the process that supervisord has started for a part, 0 if it does not run."""
    return int(supervisor(service).getProcessInfo(f"stack:{part}")["pid"])


def restart(service: Service, part: str) -> None:
    """Stop a part and start it again."""
    for change in (supervisor(service).stopProcess, supervisor(service).startProcess):
        assert change(f"stack:{part}")


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
    assert supervisor(service).stopProcess(f"stack:{part}")
    try:
        yield
    finally:
        assert supervisor(service).startProcess(f"stack:{part}")
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
