"""Servers as processes: started and stopped with all their children, and what they cost, from proc(5)."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")  # per second
START_SECONDS = 120
STOP_SECONDS = 60


class ServerError(Exception):
    """A server does not start, or ended by itself; the message says which and why."""


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    log: Path,
    ready: Callable[[], bool],
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stop: signal.Signals = signal.SIGTERM,
    start_seconds: float = START_SECONDS,
) -> Iterator[int]:
    """Run a server for the length of the block and give its process id, once it is ready. Raises ServerError."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await_start(process, ready, log, start_seconds)
        yield process.pid
    finally:
        _end(process, stop)


def _await_start(process: "subprocess.Popen[bytes]", ready: Callable[[], bool], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace").strip().splitlines()
            raise ServerError(f"{log.stem} did not start: {said[-1] if said else 'it says nothing'}")
        time.sleep(0.05)


def _end(process: "subprocess.Popen[bytes]", stop: signal.Signals) -> None:
    """Ask the process to end, and kill what is left of its session."""
    process.send_signal(stop)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    """Return a port on which no program listens right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Return whether a server accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class _Stat:
    parent: int
    ticks: int  # utime, stime, and those of children that were waited for


def _stats() -> dict[int, _Stat]:
    stats = {}
    for entry in PROC.glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            fields = entry.read_text().rpartition(")")[2].split()
            stats[int(entry.parent.name)] = _Stat(int(fields[1]), sum(map(int, fields[11:15])))
    return stats


def _tree(roots: Sequence[int], stats: Mapping[int, _Stat]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, stat in stats.items():
        children.setdefault(stat.parent, []).append(pid)
    found: set[int] = set()
    waiting = [pid for pid in roots if pid in stats]
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting += [child for child in children.get(pid, ()) if child not in found]
    return found


def cpu_seconds(roots: Sequence[int]) -> float:
    """Return what these processes and all their children have used so far, ended ones included."""
    stats = _stats()
    return sum(stats[pid].ticks for pid in _tree(roots, stats)) / TICKS


class Memory:
    """How much the resident memory of a tree of processes grows from now on; shared pages count each time."""

    def __init__(self, roots: Sequence[int]) -> None:
        """Note what they hold now, and reset the kernel's peaks (clear_refs, proc(5))."""
        self._roots = roots
        self._before = {}
        for pid in _tree(roots, _stats()):
            with suppress(OSError):
                (PROC / str(pid) / "clear_refs").write_text("5")
                self._before[pid] = _status(pid, "VmRSS")

    def grown(self) -> int:
        """Return by how many bytes the peaks of the processes exceed what they held, in all."""
        return sum(max(0, peak - self._before.get(pid, 0)) for pid, peak in self._peaks().items())

    def peak(self) -> int:
        """Return the bytes of all the processes at their largest."""
        return sum(self._peaks().values())

    def _peaks(self) -> dict[int, int]:
        peaks = {}
        for pid in _tree(self._roots, _stats()):
            with suppress(OSError):
                peaks[pid] = _status(pid, "VmHWM")
        return peaks


def _status(pid: int, field: str) -> int:
    """Return a field of /proc/PID/status in bytes; 0 for what has no memory, as a process that is ending."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    return 0
