"""The machine that results come from, without names and paths."""

import errno
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path


def describe(folder: Path, *programs: str) -> str:
    """Return cores, memory, kernel, Python, the programs' versions, and the filesystem of the folder, in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    kernel = ".".join(platform.release().split("-")[0].split(".")[:2])
    filesystem = _output("findmnt", "--noheadings", "--output=FSTYPE", "--target", str(folder)).strip()
    facts = [
        f"{len(os.sched_getaffinity(0))} cores",
        f"{memory:.0f} GiB of memory",
        f"{platform.system()} {kernel}",
        filesystem,
        f"Python {platform.python_version()}",
    ]
    return ", ".join(facts + [f"{program} {_version(program)}" for program in programs])


def path(program: str) -> str:
    """Return the path of a program, administrators' ones included. Raises FileNotFoundError."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        raise FileNotFoundError(f"{program} is missing; deploy/packages bench installs it")
    return found


def need(folder: Path, size: int) -> None:
    """Raise OSError unless `size` bytes are free on the disk of the folder."""
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, f"{size} bytes are needed; --folder says where else", str(folder))


def _version(program: str) -> str:
    said = _output(path(program), "-v" if program == "nginx" else "--version")
    return str(re.findall(r"[0-9]+(?:\.[0-9]+)+", said)[0])


def _output(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    return done.stdout
