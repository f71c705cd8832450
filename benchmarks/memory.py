"""The peak memory of copying or fetching, measured in a process that does nothing else.

    python -m benchmarks.memory copy SOURCE TARGET
    python -m benchmarks.memory fetch URL FOLDER

Prints the largest resident size of the process in bytes: VmHWM, proc(5).
"""

import subprocess
import sys
from pathlib import Path

from benchmarks import fetchers
from vimeo_api.core.storage.writer import Writer


def peak(*arguments: str | Path) -> int:
    """Return what this program prints for these arguments."""
    command = [sys.executable, "-m", "benchmarks.memory", *map(str, arguments)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Copy or fetch as the arguments say, and print the bytes."""
    kind, source, target = sys.argv[1:]
    if kind == "copy":
        _copy(Path(source), Path(target))
    else:
        fetchers.Ours(source, Path(target)).seconds()
    status = Path("/proc/self/status").read_text()
    print(next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")))


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as opened, target.open("xb") as file:
        size = source.stat().st_size
        Writer(file.fileno(), size).copy(opened.fileno(), size)


if __name__ == "__main__":
    main()
