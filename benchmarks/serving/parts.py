"""What each part of our service costs: the CPU time of nginx, the app, the workers, PostgreSQL and so on.

supervisord, which runs the parts of a host, knows which process is which.
"""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.processes import cpu_seconds

SUPERVISORCTL = Path(sys.prefix) / "bin/supervisorctl"
PARTS = {
    "nginx": "nginx",
    "web": "app",
    "worker": "workers",
    "placer": "workers",
    "fetcher": "workers",
    "beat": "workers",
    "postgres": "PostgreSQL",
    "redis-broker": "broker",
    "redis-cache": "cache",
}


@dataclass(frozen=True)
class Parts:
    """The first processes of each part, on all hosts."""

    roots: Mapping[str, list[int]]

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds of each part so far, those of its ended children included."""
        return {part: cpu_seconds(pids) for part, pids in self.roots.items()}


def parts_of(hosts: Iterable[Path], **others: int) -> Parts:
    """Return the parts of hosts, named by their DATA_DIR, and others with their first process."""
    roots: dict[str, list[int]] = defaultdict(list)
    for data in hosts:
        command = [str(SUPERVISORCTL), "-c", str(data / "etc/supervisor/stack.conf"), "status"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # 3 where a part is not running
        for line in done.stdout.splitlines():
            name, state, _, pid, *_ = line.split()
            if state == "RUNNING":
                roots[PARTS[name.removeprefix("stack:")]].append(int(pid.rstrip(",")))
    return Parts({**roots, **{part: [pid] for part, pid in others.items()}})
