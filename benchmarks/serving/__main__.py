"""The command: `python -m benchmarks.serving [--quick] [--only NAME,…] [--folder DIR]`."""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import command, machine
from benchmarks.command import RESULTS
from benchmarks.serving import bulk, growing, lasting, reading, report, results, resuming, uploading
from benchmarks.serving.benchmark import Benchmark, Course, hold
from benchmarks.serving.place import Place
from benchmarks.serving.plan import FULL, GIB, QUICK, Plan
from benchmarks.serving.server import OURS

ALL: tuple[Benchmark, ...] = (
    *reading.BENCHMARKS,
    *bulk.BENCHMARKS,
    *uploading.BENCHMARKS,
    *resuming.BENCHMARKS,
    *growing.BENCHMARKS,
    *lasting.BENCHMARKS,
)
ROOM = 4 * GIB  # beside some copies of the large file


def main() -> int:
    """Measure, and write the results; return 1 if our service failed."""
    parser = command.parser(__doc__)
    parser.add_argument("--only", default="", help=f"of {', '.join(one.name for one in ALL)}")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    wanted = set(filter(None, arguments.only.split(",")))
    if unknown := wanted - {one.name for one in ALL}:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    machine.need(arguments.folder, ROOM + 8 * plan.large)
    os.environ["PATH"] += os.pathsep + "/usr/sbin"  # where Debian keeps nginx
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    failed = run(plan, [one for one in ALL if not wanted or one.name in wanted], arguments.folder)
    text = report.write(RESULTS, plan.name, ALL)
    print(text)
    return 1 if failed else 0


def run(plan: Plan, benchmarks: list[Benchmark], folder: Path) -> list[str]:
    """Run benchmarks and keep their results; return the names of those in which our service failed."""
    failed = []
    with tempfile.TemporaryDirectory(dir=folder, prefix="serving-") as name:
        place = Place(Path(name))
        place.fill(plan.large)
        where = f"{machine.describe(folder)}, load {os.getloadavg()[0]:.1f} at the start"
        with Course(plan, place) as course:
            for benchmark in benchmarks:
                begin = time.monotonic()
                result = hold(benchmark, course, where)
                print(f"{benchmark.title}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
                results.write(RESULTS / plan.name, benchmark.name, result)
                if any(who.startswith(OURS) for who in result.absent):
                    failed.append(benchmark.name)
    return failed


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
