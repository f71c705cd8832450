"""What a benchmark is: contestants that take turns, and goals that say how ours should compare."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from benchmarks.serving import peers
from benchmarks.serving.load import LoadError, Sample
from benchmarks.serving.packages import PackageError
from benchmarks.serving.place import Place
from benchmarks.serving.plan import MIB, Plan
from benchmarks.serving.processes import Memory, ServerError, cpu_seconds
from benchmarks.serving.results import Record, Result
from benchmarks.serving.server import OURS, Server
from benchmarks.serving.service import Service, running_stack, server_of

PEERS: dict[str, Callable[[Place], AbstractContextManager[Server]]] = {
    "nginx": peers.nginx,
    "caddy": peers.caddy,
    "copyparty": peers.copyparty,
    "uploadserver": peers.uploadserver,
    "wsgidav": peers.wsgidav,
    "@tus/server": peers.tus,
}


def nothing() -> None:
    """Do nothing: what most contestants do before and after a turn."""


@dataclass(frozen=True)
class Contestant:
    """A program that takes turns."""

    who: str
    roots: Sequence[int]  # whose processes are watched
    turn: Callable[[], Sample]
    note: str  # what the numbers include
    at: int = 0  # of connections or rows, where that is what changes
    before: Callable[[], None] = nothing
    settle: Callable[[], None] = nothing  # wait for work that the turn has left behind; counts as its CPU time
    after: Callable[[], None] = nothing


@dataclass(frozen=True)
class Goal:
    """How a number of ours should compare with the same number of a peer, or with a bound if there is no peer."""

    number: str
    bound: float
    to: str = ""
    of: str = OURS
    at_least: bool = True
    ends: bool = False  # compares ours at the largest `at` with ours at the smallest

    def met(self, value: float) -> bool:
        """Return whether a value reaches the goal."""
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True)
class Benchmark:
    """Work that is the same for all."""

    name: str
    title: str
    text: str  # what is done, for the report
    contestants: Callable[["Course", ExitStack], list[Contestant]]
    rounds: Callable[[Plan], int]
    goals: tuple[Goal, ...] = ()
    scale: str = ""  # what `at` counts
    shown: str = "rate"  # the number in the picture


class Course:
    """The servers of one run, each started when it is first needed and stopped at the end."""

    def __init__(self, plan: Plan, place: Place) -> None:
        """Start nothing yet."""
        self.plan = plan
        self.place = place
        self.absent: dict[str, str] = {}
        self._stack = ExitStack()
        self._servers: dict[str, Server] = {}
        self._service: Service | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def setups(self) -> dict[str, str]:
        """How each server that has been started is run, by its name."""
        return {server.name: server.setup for server in self._servers.values()}

    @property
    def service(self) -> Service:
        """Our own service."""
        if self._service is None:
            self._service = self._stack.enter_context(running_stack(self.place, "ours"))
        return self._service

    @property
    def ours(self) -> Server:
        """Our own service, as a server."""
        return self._kept(OURS, lambda: server_of(self.service, self.place))

    @property
    def classic(self) -> Server:
        """The classic app, behind the peer nginx and on our service's PostgreSQL."""
        return self._kept("classic", self._start_classic)

    def peers(self, *names: str) -> list[Server]:
        """Return the peers that can be started; `absent` names the others."""
        found = []
        for name in names:
            if name in self.absent:
                continue
            try:
                found.append(self._kept(name, partial(self._start_peer, name)))
            except (ServerError, PackageError) as error:
                self.absent[name] = str(error)
        return found

    def _start_peer(self, name: str) -> Server:
        return self._stack.enter_context(PEERS[name](self.place))

    def _start_classic(self) -> Server:
        front = self._kept("nginx", partial(self._start_peer, "nginx"))
        self.service.query("CREATE DATABASE classic", database="postgres")
        url, pids = self.service.database_url.format("classic"), (self.service.database_pid,)
        return self._stack.enter_context(peers.classic(self.place, front, url, pids))

    def _kept(self, name: str, start: Callable[[], Server]) -> Server:
        if name not in self._servers:
            self._servers[name] = start()
        return self._servers[name]


def hold(benchmark: Benchmark, course: Course, machine: str) -> Result:
    """Let all contestants take turns, in a new order in each round. One that fails is out."""
    with ExitStack() as stack:
        contestants = benchmark.contestants(course, stack)
        notes = {one.who: one.note for one in contestants}
        result = Result(machine, [], dict(course.absent), notes, course.setups)
        for number in range(benchmark.rounds(course.plan)):
            for one in random.sample(contestants, len(contestants)):
                if one.who in result.absent:
                    continue
                try:
                    values = _turn(one)
                except LoadError as error:
                    result.absent[one.who] = f"failed: {error}"
                    continue
                result.records.append(Record(one.who, one.at, number, values))
    return result


def _turn(one: Contestant) -> Mapping[str, float]:
    one.before()
    memory, before = Memory(one.roots), cpu_seconds(one.roots)
    values = dict(one.turn())
    one.settle()
    cpu = cpu_seconds(one.roots) - before
    values |= {"grown": memory.grown() / MIB, "peak": memory.peak() / MIB}
    if "gib" in values:
        values["cpu"] = cpu / values.pop("gib")
    elif "requests" in values:
        values["cpu_ms"] = cpu * 1000 / values["requests"]
    one.after()
    return values
