"""Ways to take the file out of a multipart body, against Werkzeug's form parser.

    python -m benchmarks.multipart [--quick] [--folder DIR]

The body lies in a new file, as nginx has spooled it, its pages in the cache; each way ends with the file's bytes alone
in a file, without fsync. All take turns in every round, in a new order each time, each in a process of its own, and a
ratio compares with Werkzeug's parser of the same round. That reads the file as if it were the connection, and writes
where it should, with no temporary file; a server's work before that is not counted.
Writes multipart.md into benchmarks/results, or quick-multipart.md when quick.
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import command, machine, taking
from benchmarks.tables import table

MIB = 1024**2
GOAL = 2.0  # times as fast as Werkzeug's parser
MEASURE = "werkzeug"


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    name: str
    size: int
    rounds: int


FULL = Plan(name="multipart", size=1024 * MIB, rounds=7)
QUICK = Plan(name="quick-multipart", size=128 * MIB, rounds=3)


@dataclass(frozen=True)
class Taken:
    """What one way took in one round."""

    seconds: float
    cpu: float  # seconds
    grown: int  # bytes


def spool(path: Path, size: int) -> None:
    """Write a body whose file has `size` bytes, in pieces as nginx writes them."""
    piece = random.randbytes(256 * 1024)
    with path.open("xb", buffering=0) as file:
        file.write(taking.HEAD)
        for _ in range(size // len(piece)):
            file.write(piece)
        file.write(taking.TAIL)


def turn(folder: Path, way: str, size: int) -> Taken:
    """Let one way take a new body, and check that all bytes came out."""
    with ExitStack() as stack:
        body, target = folder / "body", folder / "taken"
        for path in (body, target):
            stack.callback(path.unlink, missing_ok=True)
        spool(body, size)
        taker = [sys.executable, "-m", "benchmarks.taking", way, str(body), str(target)]
        said = subprocess.run(taker, check=True, capture_output=True, text=True).stdout.split()
        left = target if target.exists() else body
        if left.stat().st_size != size:
            raise ValueError(f"{way} took {left.stat().st_size} bytes of {size}")
        return Taken(float(said[0]), float(said[1]), int(said[2]))


def measure(folder: Path, plan: Plan) -> dict[str, list[Taken]]:
    """Let all take turns."""
    taken: dict[str, list[Taken]] = {way: [] for way in taking.WAYS}
    for _ in range(plan.rounds):
        for way in random.sample(list(taken), len(taken)):
            taken[way].append(turn(folder, way, plan.size))
        os.sync()
    return taken


def report(plan: Plan, where: str, taken: dict[str, list[Taken]]) -> list[str]:
    """Return the results as lines of Markdown."""
    head = [
        "# Multipart",
        "",
        f"The file of {plan.size // MIB} MiB out of a spooled body, each way against Werkzeug's form parser in the",
        f"same round: medians of {plan.rounds} rounds. **Bold** is what production does; the goal is ≥ {GOAL:g}.",
        "",
        f"{where}. Made by `python -m benchmarks.multipart`.",
    ]
    per_gib = 1024 * MIB / plan.size
    rows = []
    for way, turns in taken.items():
        ratio = statistics.median(
            theirs.seconds / ours.seconds for theirs, ours in zip(taken[MEASURE], turns, strict=True)
        )
        shown = f"**{ratio:.1f}**" if way == taking.PRODUCTION else f"{ratio:.1f}"
        wall, cpu = (
            f"{statistics.median(of_turns) * per_gib:.2f}"
            for of_turns in ([t.seconds for t in turns], [t.cpu for t in turns])
        )
        rows.append([taking.WAYS[way][0], shown, wall, cpu, f"{max(t.grown for t in turns) / MIB:.1f} MiB"])
    return head + table(["way", "× Werkzeug", "seconds/GiB", "CPU seconds/GiB", "memory grows by"], rows)


def main() -> None:
    """Measure, and write the results."""
    arguments = command.arguments(__doc__)
    plan = QUICK if arguments.quick else FULL
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        machine.need(folder, 3 * plan.size)
        taken = measure(folder, plan)
        where = machine.describe(folder)
    command.keep(plan.name, report(plan, where, taken))


if __name__ == "__main__":
    main()
