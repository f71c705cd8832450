"""The parts of a running stack, to be stopped, frozen and looked at."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.services import Service, await_


def supervisorctl(service: Service, *words: str) -> str:
    config = service.data / "etc/supervisor/stack.conf"
    command = [f"{sys.prefix}/bin/supervisorctl", "-c", str(config), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def pid_of(service: Service, part: str) -> int:
    return int(supervisorctl(service, "pid", f"stack:{part}"))


def environ_of(service: Service, part: str) -> dict[str, str]:
    """Return the environment in which a part runs."""
    entries = Path(f"/proc/{pid_of(service, part)}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


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
def frozen(service: Service, part: str) -> Iterator[None]:
    """Freeze a part for the length of the block."""
    pid = pid_of(service, part)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
