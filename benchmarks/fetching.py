"""The fetcher against curl and aria2c, from an origin that throttles each connection and one that does not.

    python -m benchmarks.fetching [--quick] [--folder DIR]

All contestants take turns in every round, in a new order each time. curl, with one connection, is the measure: a ratio
compares with curl in the same round, and the tables have the medians over the rounds. What is fetched lies in the
origin's page cache; the target is always a new file. Writes fetching.md and fetching.png into benchmarks/results, or
quick-fetching.* when quick.
"""

import os
import random
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from benchmarks import command, fetchers, machine, memory, picture
from benchmarks.origin import THROTTLE, Origin, serving
from benchmarks.tables import Grid, matrix, size, table
from benchmarks.turns import Contestant, Outcome, compare
from vimeo_api.core.fetching.client import CONNECTIONS
from vimeo_api.core.fetching.connections import RECEIVE_CHUNK

KIB, MIB, GIB = 1024, 1024**2, 1024**3
CURL_EVERY = 4  # contestants
ARIA2C = f"aria2c -x{CONNECTIONS}"


def name_of(connections: int, chunk: int = RECEIVE_CHUNK) -> str:
    """Return the fetcher's name with these arguments."""
    return f"ours, {connections} × {size(chunk)}"


OURS = name_of(CONNECTIONS)


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    name: str
    size: int  # bytes from the origin that does not throttle
    throttled: int  # bytes from the one that does
    rounds: int  # with the defaults
    sweeps: int  # rounds with all combinations
    connections: tuple[int, ...]
    chunks: tuple[int, ...]
    large: tuple[int, ...]  # sizes for which the memory is measured


FULL = Plan(
    name="fetching",
    size=GIB,
    throttled=128 * MIB,
    rounds=5,
    sweeps=1,
    connections=(1, 2, 4, 8, 16),
    chunks=(16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB),
    large=(MIB, GIB, 10 * GIB),
)
QUICK = Plan(
    name="quick-fetching",
    size=256 * MIB,
    throttled=32 * MIB,
    rounds=3,
    sweeps=1,
    connections=(1, 2, 8),
    chunks=(64 * KIB, MIB, 16 * MIB),
    large=(MIB, GIB),
)


@dataclass(frozen=True)
class Condition:
    """From which origin, and until when."""

    title: str
    throttled: bool = False
    tls: bool = False
    synced: bool = False
    goals: tuple[tuple[str, float], ...] = ()  # how many times as fast as others ours should be


THROTTLED = Condition("throttled", throttled=True, goals=(("curl", 7.5), (ARIA2C, 1.0)))
PLAIN = Condition("unthrottled, no fsync")
SYNCED = Condition("unthrottled, fsync", synced=True, goals=(("curl", 1.8),))
TLS = Condition("unthrottled, https, no fsync", tls=True)


class Course:
    """The folder into which all fetch, and the origin's files."""

    def __init__(self, folder: Path, origin: Origin, plan: Plan) -> None:
        """Make the files."""
        self.plan = plan
        self._folder = folder
        self._origin = origin
        for name, length in (("large", plan.size), ("small", plan.throttled)):
            with (origin.files / name).open("wb") as file:
                for _ in range(length // MIB):
                    file.write(random.randbytes(MIB))
                os.fsync(file.fileno())

    def ours(self, condition: Condition, connections: int = CONNECTIONS, chunk: int = RECEIVE_CHUNK) -> Contestant:
        """Let the fetcher take part."""
        return fetchers.Ours(self._url(condition), self._folder, connections, chunk, condition.synced).seconds

    def curl(self, condition: Condition) -> Contestant:
        """Let curl take part."""
        return fetchers.curl(**self._given(condition)).seconds

    def aria2c(self, condition: Condition, connections: int = CONNECTIONS) -> Contestant:
        """Let aria2c take part."""
        return fetchers.aria2c(**self._given(condition), connections=connections).seconds

    def peak_memory(self, length: int) -> int:
        """Return the peak memory, in bytes, of a new process that fetches a file of this size."""
        served = self._origin.files / "sparse"
        try:
            with served.open("wb") as file:
                file.truncate(length)  # without blocks, so that the disk need have room only once
            return memory.peak("fetch", self._origin.url("sparse"), self._folder)
        finally:
            served.unlink()

    def _given(self, condition: Condition) -> dict[str, Any]:
        return {
            "url": self._url(condition),
            "target": self._folder / "target",
            "size": self.plan.throttled if condition.throttled else self.plan.size,
            "synced": condition.synced,
            "certificate": self._origin.certificate,
        }

    def _url(self, condition: Condition) -> str:
        name = "small" if condition.throttled else "large"
        return self._origin.url(name, tls=condition.tls, throttled=condition.throttled)


def by_connections(course: Course) -> Outcome:
    """Compare from the origin that throttles each connection."""
    contestants = {}
    for connections in course.plan.connections:
        contestants[name_of(connections)] = course.ours(THROTTLED, connections)
        contestants[f"aria2c -x{connections}"] = course.aria2c(THROTTLED, connections)
    rounds = course.plan.sweeps
    return compare(contestants, course.curl(THROTTLED), rounds=rounds, every=len(contestants))


def by_default(course: Course, condition: Condition) -> Outcome:
    """Compare the programs, each with its best."""
    contestants = {OURS: course.ours(condition), ARIA2C: course.aria2c(condition)}
    return compare(contestants, course.curl(condition), rounds=course.plan.rounds, every=1)


def by_chunk(course: Course, condition: Condition) -> Grid:
    """Compare ours by connections and chunk."""
    ways = [(connections, chunk) for connections in course.plan.connections for chunk in course.plan.chunks]
    contestants = {name_of(*way): course.ours(condition, *way) for way in ways}
    outcome = compare(contestants, course.curl(condition), rounds=course.plan.sweeps, every=CURL_EVERY)
    rows, columns = [str(connections) for connections in course.plan.connections], list(map(size, course.plan.chunks))
    cells = {
        (str(connections), size(chunk)): outcome.ratios[name_of(connections, chunk)] for connections, chunk in ways
    }
    return Grid(rows, columns, cells, (str(CONNECTIONS), size(RECEIVE_CHUNK)))


@dataclass(frozen=True)
class Results:
    """All that was measured."""

    outcomes: Mapping[Condition, Outcome]
    grids: Mapping[Condition, Grid]
    peaks: Mapping[int, int]  # bytes of memory by bytes fetched


def measure(course: Course, plan: Plan) -> Results:
    """Measure everything, saying so."""
    outcomes, grids = {}, {}
    for condition in (THROTTLED, PLAIN, SYNCED, TLS):
        outcomes[condition] = by_connections(course) if condition.throttled else by_default(course, condition)
        print(condition.title, {name: round(ratio, 2) for name, ratio in outcomes[condition].ratios.items()})
    for condition in (PLAIN, SYNCED):
        grids[condition] = by_chunk(course, condition)
        print(condition.title, {way: round(ratio, 2) for way, ratio in grids[condition].ratios.items()})
    return Results(outcomes, grids, {length: course.peak_memory(length) for length in plan.large})


def report(plan: Plan, where: str, results: Results) -> list[str]:
    """Return the results as Markdown."""
    lines = [
        "# Fetching",
        "",
        f"How many times as fast as `curl`, which has one connection: medians of {plan.rounds} rounds (throttled, and",
        f"for the tables by connections and chunk, {plan.sweeps}) in one run, all taking turns; in brackets the",
        "slowest and the fastest round. **Bold** is the default. The origin is nginx on the same machine. It sends",
        f"{size(plan.size)}, or throttles each connection to {size(THROTTLE)}/s and sends {size(plan.throttled)}.",
        "",
        "Ours runs in a process that is there already, as a worker is, with the service's own sink: its time includes",
        "reserving the space, and the notes from which a crashed fetch resumes. The others' times include their start.",
        "Where there is an fsync, everybody's file gets one at the end, and the time includes it.",
        "",
        f"{where}. Made by `make bench`.",
        "",
        f"![heat maps, lines and bars]({plan.name}.png)",
    ]
    header = ("origin", "`curl`, by round", f"`{ARIA2C}`", OURS, f"ours × `{ARIA2C}`", "goal")
    lines += table(header, [_row(*pair) for pair in results.outcomes.items()])
    lines += ["", "## By connections, throttled", "", "× `curl`."]
    ratios = results.outcomes[THROTTLED].ratios
    rows = [(str(n), f"{ratios[name_of(n)]:.2f}", f"{ratios[f'aria2c -x{n}']:.2f}") for n in plan.connections]
    lines += table(("connections", "ours", "`aria2c`"), rows)
    for condition, grid in results.grids.items():
        lines += ["", f"## By connections and chunk, {condition.title}", "", "× `curl`."]
        lines += matrix("connections", grid)
    lines += ["", "## Memory", "", "The whole process at its largest, the interpreter and all imports included."]
    return lines + table(
        ("file", "peak RSS"), [(size(n), f"{peak / MIB:.1f} MiB") for n, peak in results.peaks.items()]
    )


def _row(condition: Condition, outcome: Outcome) -> list[str]:
    ours, theirs = outcome.rounds[OURS], outcome.rounds[ARIA2C]
    beside = [one / other for one, other in zip(ours, theirs, strict=True)]
    return [
        condition.title,
        f"{min(outcome.seconds):.2f} to {max(outcome.seconds):.2f} s",
        _spread(theirs),
        f"**{statistics.median(ours):.2f}** ({min(ours):.2f} to {max(ours):.2f})",
        _spread(beside),
        ", ".join(f"≥ {goal} × `{name}`" for name, goal in condition.goals),
    ]


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def draw(plan: Plan, where: str, results: Results) -> None:
    """Draw heat maps by connections and chunk, lines by connections, and bars that compare the programs."""
    title = f"The fetcher: how many times as fast as curl, {CONNECTIONS} connections × {size(RECEIVE_CHUNK)} by default"
    with picture.drawn(plan.name, title, where) as figure:
        places = figure.add_gridspec(2, 3)
        for nth, (condition, grid) in enumerate(results.grids.items()):
            axes = figure.add_subplot(places[0, nth])
            picture.heat(axes, condition.title.capitalize(), grid, rows="connections", columns="bytes at a time")
        _lines(figure.add_subplot(places[1, 0]), plan, results.outcomes[THROTTLED].ratios)
        colors = {"curl": picture.GREY, ARIA2C: picture.BROWN, OURS: picture.BLUE}
        groups = {
            condition.title: {"curl": 1.0, ARIA2C: outcome.ratios[ARIA2C], OURS: outcome.ratios[OURS]}
            for condition, outcome in results.outcomes.items()
        }
        throttled = {THROTTLED.title: groups.pop(THROTTLED.title)}
        for place, title, bars in ((places[1, 1], "Throttled", throttled), (places[:, 2], "Unthrottled", groups)):
            axes = figure.add_subplot(place)
            picture.bars(axes, title, bars, colors)
            axes.set_xlabel("× curl, longer is faster")


def _lines(axes: Axes, plan: Plan, ratios: Mapping[str, float]) -> None:
    ours = [ratios[name_of(connections)] for connections in plan.connections]
    theirs = [ratios[f"aria2c -x{connections}"] for connections in plan.connections]
    axes.plot(plan.connections, plan.connections, ":", color=picture.INK, linewidth=0.8, label="as many times")
    axes.plot(plan.connections, theirs, "o-", color=picture.BROWN, label="aria2c")
    axes.plot(plan.connections, ours, "o-", color=picture.BLUE, label="ours")
    axes.set_title(f"Each connection throttled to {size(THROTTLE)}/s", fontsize=12)
    axes.set_xticks(plan.connections)
    axes.set_xlabel("connections")
    axes.set_ylabel("× curl")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Measure, and write the results."""
    arguments = command.arguments(__doc__)
    plan = QUICK if arguments.quick else FULL
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        machine.need(folder, max(plan.large) + 4 * plan.size)
        with serving(folder) as origin:
            os.environ["SSL_CERT_FILE"] = str(origin.certificate)  # for ours; the others are told
            results = measure(Course(folder, origin, plan), plan)
        where = machine.describe(folder, "curl", "aria2c", "nginx")
    draw(plan, where, results)
    command.keep(plan.name, report(plan, where, results))


if __name__ == "__main__":
    main()
