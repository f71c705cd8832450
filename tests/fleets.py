"""What befalls the hosts of a fleet: they die, lose their network, or their object store freezes."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def kill(data: Path) -> bool:
    """Kill everything on the host with this data folder at once; return whether anything ran there."""
    found = _processes(data)
    _signal(found, signal.SIGKILL)
    return bool(found)


@contextmanager
def cut_off(data: Path) -> Iterator[bool]:
    """Cut the host with this data folder off from the network; yield whether anything runs there."""
    found = _processes(data)
    if not found:
        yield False
        return
    # By a process that outlives the host.
    enter = ["nsenter", f"--net=/proc/{_keeper(found[0])}/ns/net", "ip", "link", "set", "eth0"]
    subprocess.run([*enter, "down"], check=True)
    try:
        yield True
    finally:
        subprocess.run([*enter, "up"], check=True)


@contextmanager
def frozen_objects(data: Path) -> Iterator[None]:
    """Freeze the object store whose files are below this data folder."""
    folder = f"-dir={data / 'fleet/objects'}\0".encode()
    found = [int(entry.name) for entry in _entries() if folder in _read(entry / "cmdline")]
    assert found
    _signal(found, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(found, signal.SIGCONT)


def _processes(data: Path) -> list[int]:
    """Return everything that runs on a host, but for the process that keeps its network."""
    name = f"DATA_DIR={data}\0".encode()
    space = next((_space(entry) for entry in _entries() if name in _read(entry / "environ")), None)
    there = [entry for entry in _entries() if space and _space(entry) == space]
    return [int(entry.name) for entry in there if not _keeps_network(entry)]


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


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
