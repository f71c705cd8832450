"""Heartbeats: files in DATA_DIR which show that beat and the workers work.

`DATA_DIR/heartbeats/fetch@HOST` belongs to the worker of the queue `fetch` on a host, `beat@HOST` to beat. Its lines
are the times of the last starts, its modification time is that of the last heartbeat. The first one comes INTERVAL
after the start, so a worker that restarts all the time has none; and it comes from the loop that takes messages, so a
worker that hangs has none either.

`heartbeat_step` and the scheduler of beat make them, `readiness` checks those of the service, and the health check of a
container (deploy/containers/health.py) checks its own; for its sake this module imports nothing that loads slowly.
"""

import os
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from vimeo_api.core.errors import Unavailable

INTERVAL = 5  # seconds
SILENCE = 30  # seconds without a heartbeat after which a part counts as down
MAX_STARTS = 3  # within START_WINDOW; a part that starts more often fails again and again
START_WINDOW = 300  # seconds
_FORGET = 86_400  # seconds; files of hosts that are gone are removed


class Heart:
    """The heartbeats of one part on this host."""

    def __init__(self, folder: Path, part: str) -> None:
        """Record a start of the part."""
        self._path = folder / f"{part}@{socket.gethostname()}"
        self._next = time.monotonic() + INTERVAL
        with suppress(OSError):  # a full disk must not keep a worker from starting
            folder.mkdir(mode=0o700, exist_ok=True)
            _forget_old(folder)
            self._record_start()

    def beat(self) -> None:
        """Make a heartbeat if one is due. Without its folder there is none, which `check` reports."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + INTERVAL
            with suppress(OSError):
                self._path.touch(mode=0o600)

    def _record_start(self) -> None:
        age = _age(self._path)
        starts = [*_starts(self._path), time.time()][-MAX_STARTS - 1 :]
        self._path.touch(mode=0o600)
        self._path.write_text("".join(f"{start:.0f}\n" for start in starts))
        _set_age(self._path, age)  # a start is no heartbeat


def check(folder: Path, parts: Iterable[str]) -> None:
    """Raise Unavailable unless each part works on one host at least."""
    troubles = []
    for part in parts:
        found = [_trouble(path) for path in sorted(folder.glob(f"{part}@*"))] or ["not started yet"]
        if all(found):
            troubles.append(f"{part}: {found[0]}")
    if troubles:
        raise Unavailable("; ".join(troubles))


def was_seen(folder: Path, part: str) -> bool:
    """Return whether a part was started here in the last day."""
    return any(folder.glob(f"{part}@*"))


def check_host(folder: Path) -> None:
    """Raise Unavailable unless all parts on this host work, and there is one."""
    found = sorted(folder.glob(f"*@{socket.gethostname()}"))
    troubles = [f"{path.name}: {trouble}" for path in found if (trouble := _trouble(path))]
    if troubles or not found:
        raise Unavailable("; ".join(troubles) or "not started yet")


def _trouble(path: Path) -> str:
    """Return what is wrong with a part, or nothing."""
    recent = [start for start in _starts(path) if start > time.time() - START_WINDOW]
    if len(recent) > MAX_STARTS:
        return f"started {len(recent)} times within {START_WINDOW} s"
    age = _age(path)
    if age > _FORGET:
        return "no heartbeat since its start"
    return f"no heartbeat for {age:.0f} s" if age > SILENCE else ""


def _starts(path: Path) -> list[float]:
    with suppress(OSError, ValueError):
        return [float(line) for line in path.read_text().splitlines()]
    return []


def _age(path: Path) -> float:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime
    return time.time()


def _set_age(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def _forget_old(folder: Path) -> None:
    for path in folder.iterdir():
        if _age(path) > _FORGET and max(_starts(path), default=0) < time.time() - _FORGET:
            path.unlink(missing_ok=True)
