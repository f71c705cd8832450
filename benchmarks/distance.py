"""Downloads and uploads over a long distance: our nginx against one with the kernel's own buffer sizes.

    python -m benchmarks.distance [--quick] [--folder DIR]

Two network namespaces, joined by a line that holds every packet for 50 ms in each direction. In one of them are the
stack (`make stack`) and an nginx that serves a folder, in the other curl. Both take turns in every round; ratios are
medians. Needs root and /dev/net/tun, and says so elsewhere. Writes distance.md into benchmarks/results, or
quick-distance.md when quick. Sources: Linux, Documentation/networking/tuntap.rst; network_namespaces(7).
"""

import ctypes
import fcntl
import multiprocessing
import os
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import command, machine
from benchmarks.tables import table
from benchmarks.turns import compare

MIB = 1024**2
GOAL = 0.9
DELAY = 0.05  # seconds, each way
MTU = 9000  # bytes; a packet costs the line some 20 µs of Python, whatever its size
NEAR, FAR = "10.77.0.1", "10.77.0.2"
OURS, THEIRS = 8080, 8081
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
START_SECONDS = 120
# As many buffers as nginx needs to be fast, and no limit on what the kernel takes: `sndbuf` is not set.
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    server {{
        listen {address}:{port};
        client_max_body_size 0;
        location / {{
            root {folder}/files;
            dav_methods PUT;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    name: str
    size: int  # bytes of a body
    rounds: int


FULL = Plan("distance", 64 * MIB, 7)
QUICK = Plan("quick-distance", 32 * MIB, 3)


@dataclass(frozen=True)
class Namespace:
    """A network namespace, by the process that holds it open."""

    pid: int
    device: int  # the TUN device's descriptor

    def command(self, *words: str | Path) -> list[str]:
        """Return a command that runs in there."""
        return ["nsenter", "--target", str(self.pid), "--net", "--", *map(str, words)]


def _hold(address: str, ours: socket.socket) -> None:
    """Be a new namespace with one TUN device, hand that over, and stay until killed."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", b"far", IFF_TUN | IFF_NO_PI))
    for words in (
        f"addr add {address}/24 dev far",
        f"link set far mtu {MTU} txqueuelen 100000 up",
        "link set lo up",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    socket.send_fds(ours, [b"x"], [device])
    signal.pause()


@contextmanager
def namespace(address: str) -> Iterator[Namespace]:
    """Make a namespace with an address of its own; it ends with the block."""
    ours, theirs = socket.socketpair()
    holder = multiprocessing.Process(target=_hold, args=(address, theirs), daemon=True)
    holder.start()
    theirs.close()
    try:
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        if not descriptors or holder.pid is None:
            raise OSError("no namespace, or no TUN device")
        yield Namespace(holder.pid, descriptors[0])
        os.close(descriptors[0])
    finally:
        ours.close()
        holder.kill()
        holder.join()


def _carry(source: int, target: int) -> None:
    """Carry packets from one device to another, each DELAY after it came."""
    os.set_blocking(source, False)
    waiting: deque[tuple[float, bytes]] = deque()
    poll = select.poll()
    poll.register(source, select.POLLIN)
    while True:
        poll.poll(max(0, (waiting[0][0] - time.monotonic()) * 1000) if waiting else None)
        try:
            while True:
                waiting.append((time.monotonic() + DELAY, os.read(source, 65536)))
        except BlockingIOError:
            pass
        while waiting and waiting[0][0] <= time.monotonic():
            os.write(target, waiting.popleft()[1])


@contextmanager
def line(one: Namespace, other: Namespace) -> Iterator[None]:
    """Join two namespaces, by one process for each direction."""
    ends = ((one.device, other.device), (other.device, one.device))
    carriers = [multiprocessing.Process(target=_carry, args=pair, daemon=True) for pair in ends]
    for carrier in carriers:
        carrier.start()
    try:
        yield
    finally:
        for carrier in carriers:
            carrier.kill()
            carrier.join()


@contextmanager
def serving(words: list[str], environ: Mapping[str, str], log: Path) -> Iterator[None]:
    """Run a server until the block ends."""
    with log.open("w") as out, subprocess.Popen(words, env={**os.environ, **environ}, stdout=out, stderr=out) as server:
        try:
            yield
        finally:
            server.send_signal(signal.SIGTERM)


def curl(client: Namespace, *words: str | Path) -> float:
    """Transfer something; return the seconds from the first byte sent to the last one received."""
    command = client.command("curl", "-sS", "--fail", "-o", "/dev/null", "-w", "%{time_total}", *words)
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    return float(done.stdout)


def await_(client: Namespace, url: str) -> None:
    """Wait until a server answers."""
    words = [
        "curl",
        "-sS",
        "-o",
        "/dev/null",
        "--retry",
        str(START_SECONDS),
        "--retry-delay",
        "1",
        "--retry-all-errors",
    ]
    subprocess.run(client.command(*words, url), check=True, capture_output=True, timeout=START_SECONDS)


def measure(folder: Path, plan: Plan) -> dict[str, tuple[float, float, float]]:
    """Return for each direction the ratio, the worst of its rounds, and the rate of the kernel's own sizes in bytes."""
    body = folder / "files" / "body"
    body.parent.mkdir()
    folder.chmod(0o777)
    body.parent.chmod(0o777)
    body.write_bytes(os.urandom(plan.size))
    site = folder / "nginx.conf"
    site.write_text(NGINX.format(folder=folder, address=NEAR, port=THEIRS))
    data = {"DATA_DIR": str(folder / "data"), "BIND": NEAR, "PORT": str(OURS), "FETCH_URLS": "0"}
    with ExitStack() as stack:
        near, far = stack.enter_context(namespace(NEAR)), stack.enter_context(namespace(FAR))
        stack.enter_context(line(near, far))
        nginx = near.command(machine.path("nginx"), "-p", folder, "-c", site)
        stack.enter_context(serving(nginx, {}, folder / "nginx.out"))
        ours = near.command(sys.executable, "deploy/stack.py")
        stack.enter_context(serving(ours, data, folder / "stack.out"))
        static, service = f"http://{NEAR}:{THEIRS}", f"http://{NEAR}:{OURS}"
        await_(far, f"{static}/body")
        await_(far, f"{service}/ping")
        upload = ["--data-binary", f"@{body}", "-H", "Content-Type: application/octet-stream", "-H", "Expect:"]
        stored = subprocess.run(
            near.command("curl", "-sS", "--fail", *upload, f"{service}/v1/streams"), check=True, capture_output=True
        )
        key = stored.stdout.decode().split('"id":')[1].split('"')[1]
        ways = {
            "download": ((f"{service}/v1/streams/{key}",), (f"{static}/body",)),
            "upload": ((*upload, f"{service}/v1/streams"), ("-T", str(body), "-H", "Expect:", f"{static}/put")),
        }
        results = {}
        for way, (mine, theirs) in ways.items():
            outcome = compare(
                {way: lambda mine=mine: curl(far, *mine)},  # type: ignore[misc]
                lambda theirs=theirs: curl(far, *theirs),  # type: ignore[misc]
                rounds=plan.rounds,
                every=1,
            )
            rate = plan.size / statistics.median(outcome.seconds)
            results[way] = (outcome.ratios[way], min(outcome.rounds[way]), rate)
        return results


def report(plan: Plan, where: str, results: Mapping[str, tuple[float, float, float]]) -> list[str]:
    """Return the results as lines of Markdown."""
    head = [
        "# Over a long way",
        "",
        f"{plan.size // MIB} MiB by curl, {DELAY * 1000:.0f} ms away in each direction, against an nginx that serves a",
        f"folder with the kernel's own buffer sizes: medians of {plan.rounds} rounds. The goal is ≥ {GOAL:g}.",
        "",
        f"{where}. Made by `python -m benchmarks.distance`.",
    ]
    rows = [
        [way, f"{ratio:.2f}", f"{worst:.2f}", f"{rate / 1e6:.1f} MB/s"] for way, (ratio, worst, rate) in results.items()
    ]
    return head + table(["direction", "× nginx", "worst round", "nginx"], rows)


def main() -> None:
    """Measure, and write the results; without a TUN device, only say that there is none."""
    arguments = command.arguments(__doc__)
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        print("benchmarks.distance needs root and /dev/net/tun.")
        return
    plan = QUICK if arguments.quick else FULL
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        results = measure(Path(name), plan)
        where = machine.describe(Path(name), "nginx", "curl")
    command.keep(plan.name, report(plan, where, results))


if __name__ == "__main__":
    main()
