"""Copies a file by the writer and prints the largest resident size of this process: `python -m benchmarks.memory`."""

import sys
from pathlib import Path

from vimeo_api.core.writer import Writer


def main() -> None:
    """Copy the first argument to the second, and print bytes (VmHWM, proc(5))."""
    source, target = map(Path, sys.argv[1:])
    with source.open("rb") as opened, target.open("xb") as file:
        size = source.stat().st_size
        Writer(file.fileno(), size).copy(opened.fileno(), size)
    status = Path("/proc/self/status").read_text()
    print(next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")))


if __name__ == "__main__":
    main()
