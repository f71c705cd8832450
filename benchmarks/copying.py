"""The concurrent writer against cp and dd: threads by chunk, into allocated space and fresh files, with fsync or not.

    python -m benchmarks.copying [--quick] [--folder DIR]

All contestants take turns in every round, in a new order each time, and dd, the measure, comes several times between
them. A ratio compares with dd's median of the same round; the table has the median over the rounds. The source lies in
the page cache; the target is always a new file. Writes copying.md and copying.png into benchmarks/results, or
quick-copying.* when quick.
"""

import hashlib
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import command, machine, memory, picture
from benchmarks.tables import Grid, matrix, size, table
from benchmarks.turns import Outcome, compare
from vimeo_api.core.storage.writer import CHUNK, THREADS, Writer

KIB, MIB, GIB = 1024, 1024**2, 1024**3
GOALS = {(True, False): 1.4, (True, True): 1.1}  # of the defaults, by (allocated, synced)
DD_EVERY = 2  # contestants

Copying = Callable[[Path, int], object]  # to a path, which is open as a descriptor too


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    name: str
    size: int
    rounds: int
    threads: tuple[int, ...]
    chunks: tuple[int, ...]
    large: tuple[int, ...]  # sizes for which the memory is measured


FULL = Plan(
    name="copying",
    size=512 * MIB,
    rounds=3,
    threads=(1, 2, 4),
    chunks=(4 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB),
    large=(0, 64 * MIB, GIB, 10 * GIB),
)
QUICK = Plan(
    name="quick-copying",
    size=128 * MIB,
    rounds=3,
    threads=(1, 2, 4),
    chunks=(64 * KIB, MIB, 16 * MIB),
    large=(0, 64 * MIB, GIB),
)


class Course:
    """The folder with the source, in which all copy it."""

    def __init__(self, folder: Path, size: int) -> None:
        """Make the source."""
        self.size = size
        self.source = folder / "source"
        self._target = folder / "target"
        with self.source.open("wb") as file:
            for _ in range(size // MIB):
                file.write(random.randbytes(MIB))
            os.fsync(file.fileno())
        self.descriptor = os.open(self.source, os.O_RDONLY)

    def close(self) -> None:
        """Close the source."""
        os.close(self.descriptor)

    def seconds(self, copying: Copying, *, allocated: bool) -> float:
        """Return how long it takes to copy to a new file, which may have its space already."""
        descriptor = os.open(self._target, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            if allocated:
                os.posix_fallocate(descriptor, 0, self.size)
            begin = time.perf_counter()
            copying(self._target, descriptor)
            seconds = time.perf_counter() - begin
            if os.fstat(descriptor).st_size != self.size:
                raise ValueError("the copy has another size")
            return seconds
        finally:
            os.close(descriptor)
            self._target.unlink()

    def dd(self, target: Path, _: int, *, synced: bool) -> None:
        """Copy by dd, into what is there already."""
        conv = "conv=notrunc,fsync" if synced else "conv=notrunc"
        subprocess.run(["dd", f"if={self.source}", f"of={target}", "bs=1M", conv, "status=none"], check=True)

    def cp(self, target: Path, descriptor: int, *, synced: bool) -> None:
        """Copy by cp, which gives up the space that the target has."""
        subprocess.run(["cp", self.source, target], check=True)
        if synced:
            os.fsync(descriptor)

    def writer(self, _: Path, descriptor: int, *, threads: int, chunk: int, synced: bool) -> None:
        """Copy by our writer, which reserves the space if that is not done yet."""
        Writer(descriptor, self.size).copy(self.descriptor, self.size, threads=threads, chunk=chunk)
        if synced:
            os.fsync(descriptor)

    def digest_after(self, _: Path, descriptor: int) -> None:
        """Copy by the writer, then read it all again for the digest."""
        Writer(descriptor, self.size).copy(self.descriptor, self.size)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            hashlib.file_digest(file, "sha256")

    def digest_in_turn(self, _: Path, descriptor: int) -> None:
        """Read, digest and write each chunk in turn, in one thread."""
        digest = hashlib.sha256()
        writer = Writer(descriptor, self.size)
        buffer = bytearray(CHUNK)
        for start in range(0, self.size, CHUNK):
            os.preadv(self.descriptor, [buffer], start)
            digest.update(buffer)
            writer.write_at(start, buffer)


@dataclass(frozen=True)
class Condition:
    """What was measured under one condition."""

    allocated: bool
    synced: bool
    outcome: Outcome  # of `cp`, and by threads and chunk
    grid: Grid

    @property
    def space(self) -> str:
        """Where the bytes went."""
        return "allocated space" if self.allocated else "a fresh file"

    @property
    def title(self) -> str:
        """The condition in words."""
        return f"Into {self.space}, {'with' if self.synced else 'without'} fsync"


def name_of(threads: int, chunk: int) -> str:
    """Return the writer's name with these arguments."""
    return f"{threads} × {size(chunk)}"


DEFAULT = name_of(THREADS, CHUNK)


def under(course: Course, plan: Plan, *, allocated: bool, synced: bool) -> Condition:
    """Let all copy under one condition."""
    ways = [(threads, chunk) for threads in plan.threads for chunk in plan.chunks]
    contestants: dict[str, Copying] = {
        name_of(*way): partial(course.writer, threads=way[0], chunk=way[1], synced=synced) for way in ways
    }
    contestants["cp"] = partial(course.cp, synced=synced)
    outcome = beside_dd(course, contestants, allocated=allocated, synced=synced, rounds=plan.rounds)
    cells = {(str(threads), size(chunk)): outcome.ratios[name_of(threads, chunk)] for threads, chunk in ways}
    rows, columns = [str(threads) for threads in plan.threads], [size(chunk) for chunk in plan.chunks]
    return Condition(allocated, synced, outcome, Grid(rows, columns, cells, (str(THREADS), size(CHUNK))))


def beside_dd(
    course: Course, contestants: dict[str, Copying], *, allocated: bool, synced: bool, rounds: int
) -> Outcome:
    """Compare with dd."""
    timed = {name: partial(course.seconds, copying, allocated=allocated) for name, copying in contestants.items()}
    dd = partial(course.seconds, partial(course.dd, synced=synced), allocated=allocated)
    return compare(timed, dd, rounds=rounds, every=DD_EVERY)


def digests(course: Course, plan: Plan) -> dict[str, float]:
    """Compare the ways to a digest with copying alone by dd."""
    contestants: dict[str, Copying] = {
        "no digest": partial(course.writer, threads=THREADS, chunk=CHUNK, synced=False),
        "read again afterwards": course.digest_after,
        "read, digest, write in turn": course.digest_in_turn,
    }
    return beside_dd(course, contestants, allocated=True, synced=False, rounds=plan.rounds).ratios


def peak_memory(folder: Path, length: int) -> int:
    """Return the peak memory, in bytes, of a new process that copies a file of this size."""
    source, target = folder / "large", folder / "copy"
    try:
        with source.open("wb") as file:
            file.truncate(length)  # without blocks, so that the disk need have room only once
        return memory.peak("copy", source, target)
    finally:
        source.unlink()
        target.unlink(missing_ok=True)


def report(
    plan: Plan, where: str, conditions: list[Condition], by_digest: dict[str, float], peaks: dict[int, int]
) -> list[str]:
    """Return the results as Markdown."""
    lines = [
        "# Copying",
        "",
        f"How many times as fast as `dd bs=1M` the concurrent writer copies {size(plan.size)} that lie in the",
        f"page cache: medians of {plan.rounds} rounds in one run, all taking turns. **Bold** is the default,",
        "and below 1 it loses.",
        "",
        f"{where}. Made by `make bench`.",
        "",
        f"![heat maps and bars]({plan.name}.png)",
    ]
    header = ("into", "fsync", "`dd`, by round", "`cp`", f"writer, {DEFAULT}", "best", "goal")
    lines += table(header, map(_row, conditions))
    lines += ["", "`cp` gives up the space that the target has, so to it all targets are fresh."]
    for condition in conditions:
        lines += ["", f"## {condition.title}", *matrix("threads", condition.grid)]
    lines += ["", "## With a SHA-256 of the copy", "", "Into allocated space, against `dd` without a digest."]
    lines += table(("the digest", "× dd"), [(name, f"{ratio:.2f}") for name, ratio in by_digest.items()])
    lines += ["", "## Memory", "", "The whole process at its largest, the interpreter included."]
    lines += table(("file", "peak RSS"), [(size(length), f"{peak / MIB:.1f} MiB") for length, peak in peaks.items()])
    return lines


def _row(condition: Condition) -> list[str]:
    ratios, seconds = condition.outcome.ratios, condition.outcome.seconds
    best = max((name for name in ratios if name != "cp"), key=ratios.__getitem__)
    goal = GOALS.get((condition.allocated, condition.synced))
    return [
        condition.space,
        "yes" if condition.synced else "no",
        f"{min(seconds):.2f} to {max(seconds):.2f} s",
        f"{ratios['cp']:.2f}",
        f"**{ratios[DEFAULT]:.2f}**",
        f"{ratios[best]:.2f} ({best})",
        f"≥ {goal}" if goal else "",
    ]


def draw(name: str, conditions: list[Condition], where: str) -> None:
    """Draw a heat map for each condition, and bars that compare the programs."""
    ours = f"writer, {DEFAULT}"
    with picture.drawn(name, "The concurrent writer: how many times as fast as dd (bs=1M)", where) as figure:
        places = figure.add_gridspec(2, 3)
        groups = {}
        for nth, condition in enumerate(conditions):
            axes = figure.add_subplot(places[nth // 2, nth % 2])
            picture.heat(axes, condition.title, condition.grid, rows="threads", columns="bytes at a time")
            ratios = condition.outcome.ratios
            groups[condition.title] = {"dd": 1.0, "cp": ratios["cp"], ours: ratios[DEFAULT]}
        axes = figure.add_subplot(places[:, 2])
        colors = {"dd": picture.GREY, "cp": picture.BROWN, ours: picture.BLUE}
        picture.bars(axes, "The default (framed) beside dd and cp", groups, colors)
        axes.set_xlabel("× dd, longer is faster")


def main() -> None:
    """Measure, and write the results."""
    arguments = command.arguments(__doc__)
    plan = QUICK if arguments.quick else FULL
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        machine.need(folder, max(plan.large) + 4 * plan.size)
        with closing(Course(folder, plan.size)) as course:
            conditions = []
            for allocated, synced in ((True, False), (True, True), (False, False), (False, True)):
                conditions.append(under(course, plan, allocated=allocated, synced=synced))
                print(conditions[-1].title, {name: round(x, 2) for name, x in conditions[-1].outcome.ratios.items()})
            by_digest = digests(course, plan)
        peaks = {length: peak_memory(folder, length) for length in plan.large}
        where = machine.describe(folder, "dd")
    draw(plan.name, conditions, where)
    command.keep(plan.name, report(plan, where, conditions, by_digest, peaks))


if __name__ == "__main__":
    main()
