"""Kill parts of a running stack with SIGKILL, in random order, and wait each time until the service is up again."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.ledger import Ledger
from tests.services import Service, await_

FULL = "full disk:"
FULL_SECONDS, FULL_OPERATIONS = 6, 100  # whichever is over first
PIECE = bytes(64 * 1024)
RECOVERY_SECONDS = 240  # far more than any part takes to come back, even on a busy machine
MARKS = {  # words in the command line of each part's first process
    "redis-broker": ("redis-broker", ":6379"),
    "redis-cache": ("redis-cache", ":6380"),
    "postgres": ("postgres -D",),
    "web": ("uwsgi --ini",),
    "worker": ("-Q delete,maintenance",),
    "fetcher": ("-Q fetch,notify",),
    "placer": ("-Q place",),
    "beat": ("vimeo_api.worker beat",),
    "nginx": ("nginx",),
}


@dataclass(frozen=True)
class Process:
    """A process as /proc shows it."""

    pid: int
    parent: int
    line: str


def processes() -> list[Process]:
    """Return all processes of this machine."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if stat[0] != "Z":
            found.append(Process(int(entry.name), int(stat[1]), line))
    return found


def parts(service: Service) -> dict[str, list[Process]]:
    """Return the processes of each part of a stack, the one that started the others first."""
    return _parts(service.process.pid, _children())


def hosts(service: Service) -> dict[str, dict[str, list[Process]]]:
    """Return the parts of each host of a fleet, by name."""
    children = _children()
    stacks = [child for child in children.get(service.process.pid, []) if "deploy/stack.py" in child.line]
    return {_name_of(stack): _parts(stack.pid, children) for stack in stacks}


def _children() -> dict[int, list[Process]]:
    children: dict[int, list[Process]] = {}
    for process in processes():
        children.setdefault(process.parent, []).append(process)
    return children


def _parts(stack: int, children: dict[int, list[Process]]) -> dict[str, list[Process]]:
    heads = [head for launched in children.get(stack, []) for head in children.get(launched.pid, [])]
    return {_part_of(head): [head, *_below(head, children)] for head in heads}


def _name_of(stack: Process) -> str:
    """Return the name of the host that a stack is, "" if it has ended meanwhile."""
    with suppress(OSError):
        for entry in Path(f"/proc/{stack.pid}/environ").read_text().split("\0"):
            if entry.startswith("HOST_NAME="):
                return entry.partition("=")[2]
    return ""


def _part_of(head: Process) -> str:
    return next((part for part, marks in MARKS.items() if any(mark in head.line for mark in marks)), head.line)


def _below(head: Process, children: dict[int, list[Process]]) -> Iterator[Process]:
    for child in children.get(head.pid, []):
        yield child
        yield from _below(child, children)


Choice = Callable[[dict[str, list[Process]], random.Random], list[Process]]


def _first(part: str) -> Choice:
    return lambda found, _rng: found.get(part, [])[:1]


def _all(part: str) -> Choice:
    return lambda found, _rng: found.get(part, [])


def _one_of(part: str, title: str) -> Choice:
    def choose(found: dict[str, list[Process]], rng: random.Random) -> list[Process]:
        there = [process for process in found.get(part, [])[1:] if title in process.line]
        return [rng.choice(there)] if there else []

    return choose


KINDS: dict[str, Choice] = {
    "web worker": _one_of("web", "uwsgi"),
    "web": _all("web"),
    "worker": _all("worker"),
    "fetcher": _all("fetcher"),
    "placer": _all("placer"),
    "beat": _all("beat"),
    "nginx worker": _one_of("nginx", "worker process"),
    "nginx master": _first("nginx"),
    "nginx": _all("nginx"),
    "redis-broker": _all("redis-broker"),
    "redis-cache": _all("redis-cache"),
    "postgres": _first("postgres"),
    "postgres backend": _one_of("postgres", " vimeo_api vimeo_api "),
    "everything": lambda found, _rng: [process for part in found.values() for process in part],
}


class Killer:
    """Kills parts a given number of times, while a load runs."""

    def __init__(
        self, service: Service, ledger: Ledger, say: Callable[[str], object], disks: Sequence[Path] = ()
    ) -> None:
        """Begin with a full deck of kinds; `say` is told what is killed. Disks are filled and freed again."""
        self._disks = disks
        self._say = say
        self.killed: Counter[str] = Counter()
        self._service = service
        self._ledger = ledger
        self._rng = random.Random(f"{ledger.seed}/killer")
        self._deck: list[str] = []

    def run(self, kills: int) -> None:
        """Kill a number of times; between most kills, wait until all parts are back and the load continues."""
        self.recovered("the start", 50)
        while self.killed.total() < kills:
            kind = self._next()
            if not self._kill(kind):
                continue  # nothing of that kind runs just now
            self.killed[kind] += 1
            self._say(f"kill {self.killed.total()}: {kind}{self._place()}, after {self._ledger.done} operations")
            if self._rng.random() < 0.8:
                self.recovered(kind, self._rng.randrange(60))

    def recovered(self, what: str, operations: int) -> None:
        """Wait until all parts are there and a number of further operations have succeeded."""
        before = self._ledger.done
        deadline = time.monotonic() + RECOVERY_SECONDS
        try:
            await_(self._is_complete, RECOVERY_SECONDS)
            await_(lambda: self._ledger.done >= before + operations, max(1, deadline - time.monotonic()))
        except AssertionError:
            there = {part: len(found) for part, found in self._parts().items()}
            done = self._ledger.done - before
            raise AssertionError(f"no recovery from {what}: {done} of {operations} operations, {there}") from None

    def _place(self) -> str:
        return ""

    def _parts(self) -> dict[str, list[Process]]:
        return parts(self._service)

    def _is_complete(self) -> bool:
        return self._parts().keys() >= MARKS.keys()

    def _kinds(self) -> list[str]:
        return [*KINDS, *(f"{FULL} {folder.name}" for folder in self._disks)]

    def _next(self) -> str:
        if not self._deck:
            self._deck = self._kinds()
            self._rng.shuffle(self._deck)
        return self._deck.pop()

    def _fill(self, folder: Path) -> None:
        """Fill a disk, sometimes with the space that is allocated for the journal, and free it soon."""
        log = folder / "deliveries.log"
        if log.exists() and self._rng.random() < 0.5:
            os.truncate(log, log.stat().st_size)
        ballast, done, until = folder / ".ballast", self._ledger.done, time.monotonic() + FULL_SECONDS
        try:
            with ballast.open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(PIECE)
            await_(lambda: self._ledger.done >= done + FULL_OPERATIONS or time.monotonic() > until)
        finally:
            ballast.unlink()

    def _kill(self, kind: str) -> bool:
        if kind.startswith(FULL):
            self._fill(next(folder for folder in self._disks if folder.name == kind.removeprefix(f"{FULL} ")))
            return True
        killed = False
        for process in self._choose(kind):
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed = True
        return killed

    def _choose(self, kind: str) -> list[Process]:
        return KINDS[kind](self._parts(), self._rng)
