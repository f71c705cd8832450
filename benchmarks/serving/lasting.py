"""The benchmark of the original's document: siege with 100 concurrent clients, for minutes on end."""

from contextlib import ExitStack
from functools import partial

import requests

from benchmarks.serving import load
from benchmarks.serving.benchmark import Benchmark, Contestant, Course, Goal
from benchmarks.serving.place import Place
from benchmarks.serving.server import OURS
from benchmarks.serving.service import STREAMS, Service

CLIENTS = 100


def siege(course: Course, _: ExitStack) -> list[Contestant]:
    """Let our service answer a mix of all requests that can be repeated."""
    ours, service = course.ours, course.service
    lines = _mix(service, course.place, ours.small)
    turn = partial(load.siege, lines, seconds=course.plan.siege_seconds, clients=CLIENTS)
    note = "a new connection for each request; one in six is an upload, with fsync and row"
    return [Contestant(ours.name, ours.roots, turn, note, after=ours.uploads.clear)]


def _mix(service: Service, place: Place, stream: str) -> list[str]:
    """Return lines for siege: a file of every surface but the one-time ones, the list of names, and an upload."""
    origin, small = service.origin, place.small.read_bytes()
    digest = requests.post(origin, data=small, headers={"Content-Type": "text/plain"}, timeout=60).text
    named = requests.post(f"{origin}/upload/{place.small.name}", data=small, timeout=60)
    named.raise_for_status()
    sealed = requests.post(f"{origin}/uploadFile", files={"file": ("small.txt", small)}, timeout=60).json()["file_id"]
    paths = [
        stream,
        f"/?file_hash={digest}",
        f"/download/{place.small.name}",
        f"/downloadFile?file_id={sealed}",
        "/download",
    ]
    return [*(origin + path for path in paths), f"{origin}{STREAMS} POST <{place.small}"]


BENCHMARKS = (
    Benchmark(
        name="siege",
        title=f"Siege by {CLIENTS} clients",
        text="Files of four surfaces, the list of names and an upload of 4 KiB in turn, without a pause: five minutes, "
        "or ten seconds if quick.",
        contestants=siege,
        rounds=lambda _: 1,
        goals=(Goal("failed", 0, of=OURS, at_least=False),),
    ),
)
