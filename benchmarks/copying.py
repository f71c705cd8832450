"""The concurrent writer against cp and dd: threads by chunk, into allocated space and fresh files, with fsync or not.

    python -m benchmarks.copying [--quick] [--folder DIR]

All contestants take turns in every round, in a new order each time, and dd, the measure, comes several times between
them. A ratio compares with dd's median of the same round; the table has the median over the rounds. The source lies in
the page cache; the target is always a new file. Writes copying.md and copying.png into benchmarks/results, or
quick-copying.* when quick.
"""

import argparse
import hashlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import machine, picture
from benchmarks.picture import Condition, name_of
from vimeo_api.core.writer import CHUNK, THREADS, Writer

RESULTS = Path(__file__).parent / "results"
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
    rounds=7,
    threads=(1, 2, 4, 8),
    chunks=(4 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB, 64 * MIB),
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
    """The folder with the source, in which everybody copies it."""

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


def compare(
    course: Course, contestants: Mapping[str, Copying], *, measure: Copying, allocated: bool, rounds: int
) -> tuple[dict[str, float], tuple[float, ...]]:
    """Return for each contestant how many times as fast as the measure it is, and the measure's seconds by round."""
    ratios: dict[str, list[float]] = {name: [] for name in contestants}
    medians = []
    for _ in range(rounds):
        measured, taken = [], {}
        for place, name in enumerate(random.sample(list(contestants), len(contestants))):
            if place % DD_EVERY == 0:
                measured.append(course.seconds(measure, allocated=allocated))
            taken[name] = course.seconds(contestants[name], allocated=allocated)
        medians.append(statistics.median(measured))
        for name, seconds in taken.items():
            ratios[name].append(medians[-1] / seconds)
    return {name: statistics.median(of_rounds) for name, of_rounds in ratios.items()}, tuple(medians)


def matrix(course: Course, plan: Plan, *, allocated: bool, synced: bool) -> Condition:
    """Let everybody copy under one condition."""
    ours = {
        name_of(threads, chunk): partial(course.writer, threads=threads, chunk=chunk, synced=synced)
        for threads in plan.threads
        for chunk in plan.chunks
    }
    contestants: dict[str, Copying] = {**ours, "cp": partial(course.cp, synced=synced)}
    measure = partial(course.dd, synced=synced)
    ratios, seconds = compare(course, contestants, measure=measure, allocated=allocated, rounds=plan.rounds)
    return Condition(allocated, synced, seconds, ratios, plan.threads, plan.chunks)


def digests(course: Course, plan: Plan) -> dict[str, float]:
    """Compare the ways to a digest with copying alone by dd."""
    contestants: dict[str, Copying] = {
        "no digest": partial(course.writer, threads=THREADS, chunk=CHUNK, synced=False),
        "read again afterwards": course.digest_after,
        "read, digest, write in turn": course.digest_in_turn,
    }
    measure = partial(course.dd, synced=False)
    ratios, _ = compare(course, contestants, measure=measure, allocated=True, rounds=plan.rounds)
    return ratios


def peak_memory(folder: Path, size: int) -> int:
    """Return the bytes that a process of its own needed at most to copy so much."""
    source, target = folder / "large", folder / "copy"
    try:
        with source.open("wb") as file:
            file.truncate(size)  # without blocks, so that the disk need have room only once
        command = [sys.executable, "-m", "benchmarks.memory", str(source), str(target)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    finally:
        source.unlink()
        target.unlink(missing_ok=True)


def report(
    plan: Plan, where: str, conditions: list[Condition], by_digest: dict[str, float], memory: dict[int, int]
) -> str:
    """Return the results as Markdown."""
    default = name_of(THREADS, CHUNK)
    lines = [
        "# Copying",
        "",
        f"How many times as fast as `dd bs=1M` the concurrent writer copies {picture.size(plan.size)} that lie in the",
        f"page cache: medians of {plan.rounds} rounds in one run, all taking turns. **Bold** is the default,",
        "and below 1 it loses.",
        "",
        f"{where}. Made by `make bench`.",
        "",
        f"![heat maps and bars]({plan.name}.png)",
        "",
        f"| into | fsync | `dd`, by round | `cp` | writer, {default} | best | goal |",
        "|---|---|---|---|---|---|---|",
    ]
    for condition in conditions:
        best = max((name for name in condition.ratios if name != "cp"), key=condition.ratios.__getitem__)
        goal = GOALS.get((condition.allocated, condition.synced))
        lines.append(
            f"| {condition.space} | {'yes' if condition.synced else 'no'} "
            f"| {min(condition.seconds):.2f} to {max(condition.seconds):.2f} s | {condition.ratios['cp']:.2f} "
            f"| **{condition.ratios[default]:.2f}** | {condition.ratios[best]:.2f} ({best}) "
            f"| {f'≥ {goal}' if goal else ''} |"
        )
    lines += ["", "`cp` gives up the space that the target has, so to it all targets are fresh."]
    for condition in conditions:
        lines += ["", f"## {condition.title}", "", "| threads | " + " | ".join(map(picture.size, plan.chunks)) + " |"]
        lines.append("|---" * (len(plan.chunks) + 1) + "|")
        for threads in plan.threads:
            cells = [f"{condition.ratios[name_of(threads, chunk)]:.2f}" for chunk in plan.chunks]
            if threads == THREADS:
                cells[plan.chunks.index(CHUNK)] = f"**{cells[plan.chunks.index(CHUNK)]}**"
            lines.append(f"| {threads} | " + " | ".join(cells) + " |")
    lines += ["", "## With a SHA-256 of the copy", "", "Into allocated space, against `dd` without a digest.", ""]
    lines += ["| the digest | × dd |", "|---|---|", *(f"| {name} | {ratio:.2f} |" for name, ratio in by_digest.items())]
    lines += ["", "## Memory", "", "The whole process at its largest, the interpreter included.", ""]
    lines += ["| file | peak RSS |", "|---|---|"]
    lines += [f"| {picture.size(size)} | {peak / MIB:.1f} MiB |" for size, peak in memory.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything, in under a minute")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where to copy")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        if machine.room(folder) < max(plan.large) + 4 * plan.size:
            parser.error(f"{arguments.folder} has too little room; --folder says where else")
        with closing(Course(folder, plan.size)) as course:
            conditions = []
            for allocated, synced in ((True, False), (True, True), (False, False), (False, True)):
                conditions.append(matrix(course, plan, allocated=allocated, synced=synced))
                print(conditions[-1].title, {name: round(ratio, 2) for name, ratio in conditions[-1].ratios.items()})
            by_digest = digests(course, plan)
        memory = {size: peak_memory(folder, size) for size in plan.large}
        where = machine.describe(folder)
    RESULTS.mkdir(exist_ok=True)
    picture.draw(RESULTS / f"{plan.name}.png", conditions, where, default=(THREADS, CHUNK))
    text = report(plan, where, conditions, by_digest, memory)
    (RESULTS / f"{plan.name}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
