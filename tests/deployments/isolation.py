"""Run a command on what looks like a machine of its own: `python -m tests.deployments.isolation COMMAND…`, as root.

Without a command it says whether that is possible here.

It has its own network, processes, mounts and /run, and reaches the internet through slirp4netns, which is an ordinary
process. So whatever the command starts or changes there, such as Docker's bridge and packet filter, ends with it. The
Makefile runs the tests of `containers` and `host` in it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.services import await_

NAMESPACES = ["--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--mount-proc", "--kill-child"]
TIED = ["setpriv", "--pdeathsig", "KILL", "--"]  # ends with us, however we end
NAMESERVER = "10.0.2.3"  # slirp4netns(1)
INSIDE = f"""
set -e
read -r _                       # until the network is there
ip link set lo up
mount -t tmpfs -o mode=755 tmpfs /run
echo nameserver {NAMESERVER} > /run/resolv.conf
mount --bind /run/resolv.conf "$(realpath /etc/resolv.conf)"
exec "$@" < /dev/null
"""


def main() -> int:
    """Run the command and return its exit status; if there can be no such machine here, say in one sentence why."""
    if trouble := _trouble():
        print(f"The deployments cannot be tested here: {trouble}", file=sys.stderr)
        return 1
    if len(sys.argv) == 1:
        return 0
    inside = subprocess.Popen(
        [*TIED, "unshare", *NAMESPACES, "sh", "-c", INSIDE, "-", *sys.argv[1:]], stdin=subprocess.PIPE, text=True
    )
    assert inside.stdin
    own = _network("self")
    await_(lambda: inside.poll() is not None or _network(inside.pid) != own)
    ready, done = os.pipe()
    network = subprocess.Popen(
        [
            *(*TIED, "slirp4netns", "--configure", "--mtu=1400", "--disable-host-loopback"),
            *(f"--ready-fd={done}", "--netns-type=path", f"/proc/{inside.pid}/ns/net", "tap0"),
        ],
        pass_fds=[done],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(done)
    try:
        assert os.read(ready, 1) == b"1", "slirp4netns did not start"
        inside.stdin.write("\n")
        inside.stdin.close()
        return inside.wait()
    finally:
        inside.kill()
        inside.wait()
        network.terminate()
        network.wait()


@contextmanager
def control_groups(*names: str) -> Iterator[None]:
    """Remove what Docker or nspawn leaves of these control groups after the block; no namespace hides them."""
    before = _folders(names)
    try:
        yield
    finally:
        for folder in sorted(_folders(names) - before, reverse=True):
            with suppress(OSError):  # of another Docker, which uses it
                folder.rmdir()


def _folders(names: Sequence[str]) -> set[Path]:
    found = [path for name in names for path in Path("/sys/fs/cgroup").glob(f"*/{name}")]
    return {folder for path in found for folder in [path, *path.rglob("*")] if folder.is_dir()}


def _network(process: int | str) -> str:
    return str(Path(f"/proc/{process}/ns/net").readlink())


def _trouble() -> str:
    if os.geteuid() != 0:
        return "namespaces and mounts need root."
    if subprocess.run(["unshare", *NAMESPACES, "true"], capture_output=True, check=False).returncode:
        return "this machine does not let root make namespaces."
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun, which slirp4netns needs."
    return ""


if __name__ == "__main__":
    sys.exit(main())
