"""The machine that results come from, without names and paths."""

import os
import platform
import shutil
import subprocess
from pathlib import Path


def describe(folder: Path) -> str:
    """Return cores, memory, kernel, Python, coreutils, and the filesystem of the folder, in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    kernel = ".".join(platform.release().split("-")[0].split(".")[:2])
    filesystem = _output("findmnt", "--noheadings", "--output=FSTYPE", "--target", str(folder))
    coreutils = _output("dd", "--version").split("\n")[0].rpartition(" ")[2]
    return (
        f"{len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB of memory, {platform.system()} {kernel}, "
        f"{filesystem}, Python {platform.python_version()}, coreutils {coreutils}"
    )


def room(folder: Path) -> int:
    """Return how many bytes are free where the folder lies."""
    return shutil.disk_usage(folder).free


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
