"""The command: `python -m benchmarks.fleet [--quick] [--folder DIR]`."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import command, machine
from benchmarks.fleet import work
from benchmarks.fleet.sites import Site, first_host, fleet, one_host, placing_through, plain_nginx
from benchmarks.fleet.work import LARGE, SMALL_KINDS, Amount, Costs
from benchmarks.serving import load
from benchmarks.serving.place import Place
from benchmarks.serving.plan import GIB, MIB
from benchmarks.serving.processes import cpu_seconds
from benchmarks.serving.service import STREAMS
from benchmarks.tables import table

ROOM = 12 * GIB
START_SECONDS = 20  # for what a start leaves to do
COLUMNS = ("nginx", "app", "workers", "PostgreSQL", "broker", "cache", "object store", "balancer")


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    idle_seconds: int
    amount: Amount
    placed: int  # bytes of the file whose placing is measured
    served: int  # bytes that nginx sends for its CPU time: sendfile takes 0.1 to 0.3 s per GiB


FULL = Plan(5, 60, Amount(seconds=3, up=4, down=16), GIB, 4 * GIB)
QUICK = Plan(1, 10, Amount(seconds=1, up=2, down=8), 256 * MIB, GIB)


@dataclass(frozen=True)
class Goal:
    """A ratio, or CPU seconds, by round."""

    what: str
    bound: float
    values: Sequence[float]
    at_least: bool = True

    def row(self) -> list[str]:
        """Return a row of the table of goals."""
        value = median(self.values)
        met = value >= self.bound if self.at_least else value <= self.bound
        found = f"{value:.2f}" if met else f"**{value:.2f}: missed**"
        spread = f"{min(self.values):.2f} to {max(self.values):.2f}"
        return [self.what, f"{'≥' if self.at_least else '≤'} {self.bound}", found, spread]


def main() -> int:
    """Measure, and write the results."""
    arguments = command.arguments(__doc__)
    if os.geteuid() != 0:
        print("benchmarks.fleet: network namespaces need root", file=sys.stderr)
        return 1
    plan = QUICK if arguments.quick else FULL
    machine.need(arguments.folder, ROOM)
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    where = f"{machine.describe(arguments.folder, 'nginx')}, load {os.getloadavg()[0]:.0f} at the start"
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="fleet-") as name, ExitStack() as stack:
        place = Place(Path(name))
        place.fill(LARGE)
        sites = {"One host": stack.enter_context(one_host(place)), "Two hosts": stack.enter_context(fleet(place))}
        idle, costs = _by_turns(sites, place, plan)
        goals = [_as_from_disk(costs), *_goals(sites["Two hosts"], place, plan, idle["Two hosts"])]
    lines = _report(where, plan, idle, costs, goals)
    command.keep("quick-fleet" if arguments.quick else "fleet", lines)
    return 0


def _by_turns(
    sites: Mapping[str, Site], place: Place, plan: Plan
) -> tuple[dict[str, dict[str, float]], dict[str, Costs]]:
    """Return what each site uses a second when idle, and what requests cost."""
    time.sleep(START_SECONDS)
    before, begin = {name: site.parts.cpu() for name, site in sites.items()}, time.monotonic()
    time.sleep(plan.idle_seconds)
    seconds = time.monotonic() - begin
    idle = {
        name: {part: (used - before[name][part]) / seconds for part, used in site.parts.cpu().items()}
        for name, site in sites.items()
    }
    rounds: dict[str, list[Costs]] = {name: [] for name in sites}
    for number in range(plan.rounds):
        for name, site in sites.items():
            begin = time.monotonic()
            rounds[name].append(work.costs(site, place, plan.amount, idle[name]))
            print(f"{name}, round {number + 1}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return idle, {name: work.medians(found) for name, found in rounds.items()}


def _as_from_disk(costs: Mapping[str, Costs]) -> Goal:
    """Compare what nginx takes for large objects with what it takes for large files on a disk, both with our site."""
    objects, files = (costs[name][work.DOWN]["nginx"] for name in ("Two hosts", "One host"))
    return Goal("nginx CPU per GiB from the object store ÷ from a disk", 1.6, [objects / files], at_least=False)


def _goals(site: Site, place: Place, plan: Plan, idle: Mapping[str, float]) -> list[Goal]:
    """Measure on the fleet's host `a`, without the balancer."""
    origin, seconds = first_host(site.service), plan.amount.seconds
    small, large = (f"{STREAMS}/{site.service.add_stream(path)}" for path in (place.small, place.large))
    site.settle()
    for url in (origin + small, origin + large):
        load.get(url, seconds=1, connections=1)  # so that nginx remembers where the bytes are
    bytes_cpu, hot, through, placing = [], [], [], []
    with (
        plain_nginx(place, site, small.rpartition("/")[2]) as (plain, pid),
        placing_through(place, site) as through_origin,
    ):
        for _ in range(plan.rounds):
            ours, begin = site.parts.cpu()["nginx"], cpu_seconds([pid])
            gib = work.download(origin + large, LARGE, plan.served // LARGE)
            ours = site.parts.cpu()["nginx"] - ours
            work.download(f"{plain}/{place.large.name}", LARGE, plan.served // LARGE)
            bytes_cpu.append((ours / gib) / ((cpu_seconds([pid]) - begin) / gib))
            rates = [
                load.get(url, seconds=seconds, connections=work.CONNECTIONS)["rate"]
                for url in (origin + small, f"{plain}/object")
            ]
            hot.append(rates[0] / rates[1])
            rates = [
                load.put(at, work.STREAM, work.BODY, seconds=seconds, connections=work.CONNECTIONS)["rate"]
                for at in (through_origin, origin)
            ]
            through.append(rates[0] / rates[1])
            site.settle()
            place.fill(plan.placed)
            placing.append(_placing(site, place, plan.placed, idle))
            place.fill(LARGE)
    return [
        Goal("nginx CPU per GiB from the object store ÷ a bare `sendfile`", 1.6, bytes_cpu, at_least=False),
        Goal("small hot GET from the object store ÷ nginx that proxies the object, rate", 0.25, hot),
        Goal("placing 1 GiB, CPU seconds of workers", 1.5, placing, at_least=False),
        Goal("small PUT with `PLACE=through` ÷ `later`, rate", 0.5, through),
    ]


def _placing(site: Site, place: Place, size: int, idle: Mapping[str, float]) -> float:
    def upload() -> float:
        load.send(site.service.origin, work.STREAM, place.large)
        return size / GIB

    return site.cost(upload, idle)["workers"]


def _report(
    where: str, plan: Plan, idle: Mapping[str, Mapping[str, float]], costs: Mapping[str, Costs], goals: Sequence[Goal]
) -> list[str]:
    lines = [
        "# What requests cost each part",
        "",
        "CPU time of each part in proc(5), including what follows the answer: placing, confirmation, removal.",
        f"Medians of {plan.rounds} rounds, {work.CONNECTIONS} connections; what an idle service uses is subtracted.",
        "",
        f"{where}. Made by `python -m benchmarks.fleet`.",
        "",
        "## Goals",
        "",
        "On one of the two hosts, without the balancer; `sendfile` and the proxy are an nginx of their own there.",
        "The first ratio is that of two numbers in the tables below. No object can be sent by `sendfile`: its bytes",
        "come by TCP, so nginx reads and writes them. The page of growth has more about it, under",
        "[what a GiB costs nginx](../../docs/growth.md#what-a-gib-costs-nginx).",
        *table(["", "goal", "reached", "rounds"], [goal.row() for goal in goals]),
    ]
    texts = {
        "One host": "`make stack`: everything on one host, files on its filesystem.",
        "Two hosts": "`make fleet`: two web hosts, a worker host, an object store (SeaweedFS), a balancer (HAProxy), "
        "each in a network namespace of its own on the same machine.",
    }
    for name, found in costs.items():
        columns = [part for part in COLUMNS if part in idle[name]]
        small = [[kind, *_cells(found[kind], columns, 1000, 3)] for kind in SMALL_KINDS]
        large = [[kind, *_cells(found[kind], columns, 1, 2)] for kind in (work.UP, work.DOWN)]
        lines += ["", f"## {name}", "", texts[name]]
        lines += table(["CPU ms per request", *columns, "all"], small)
        lines += table(["CPU s per GiB", *columns, "all"], large)
        lines += table(["CPU ms per second", *columns, "all"], [["idle", *_cells(idle[name], columns, 1000, 1)]])
    return lines


def _cells(found: Mapping[str, float], columns: Sequence[str], factor: float, digits: int) -> list[str]:
    numbers = [found[part] * factor for part in columns]
    return [f"{number:.{digits}f}" for number in (*numbers, sum(numbers))]


if __name__ == "__main__":
    sys.exit(main())
