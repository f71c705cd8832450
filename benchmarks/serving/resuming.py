"""Benchmarks of resumable uploads: what a cut costs, who waits for slow clients, how fast offsets are."""

import itertools
import random
import resource
import socket
import statistics
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from http.client import HTTPConnection
from urllib.parse import urlsplit

from benchmarks.serving import load
from benchmarks.serving.benchmark import Benchmark, Contestant, Course, Goal
from benchmarks.serving.bulk import RESUMABLE
from benchmarks.serving.load import LoadError, Sample
from benchmarks.serving.plan import KIB, MIB
from benchmarks.serving.server import OURS, Server
from benchmarks.serving.service import STREAMS

TUS = {"Tus-Resumable": "1.0.0"}
MEDIA_TYPE = "application/offset+octet-stream"
UPLOAD = 16 * MIB  # bytes that clients would send; enough for nginx to ask before the first
CUTS = 25  # in each turn
PIECE = 64 * KIB
CROWD = 1000  # clients that trickle
DRIP = b"x" * 1024  # what each of them sends every PAUSE seconds
PAUSE = 5
STEP = 0.1  # seconds between two rounds of drips: few wake-ups, so that the crowd itself costs next to nothing
BODY = 64 * KIB  # of those that do not trickle
FEW = 8  # connections, of those
UPLOADS = f"{OURS}, small PUT"
UNDISTURBED, UPLOADS_UNDISTURBED = f"{OURS}, undisturbed", f"{UPLOADS}, undisturbed"


def cuts(course: Course, _: ExitStack) -> list[Contestant]:
    """Cut uploads at random bytes, and count how many have to be sent again."""
    return [
        Contestant(server.name, server.roots, partial(_cut, server), note, after=server.uploads.clear)
        for server, note in _takers(course)
    ]


def offsets(course: Course, _: ExitStack) -> list[Contestant]:
    """Ask for the offset of one upload over and over."""
    path = _begun(course.ours)
    turn = partial(load.head, course.ours.origin, path, seconds=course.plan.seconds, connections=FEW)
    return [Contestant(OURS, course.ours.roots, turn, "SELECT, and stat of the file")]


def trickling(course: Course, stack: ExitStack) -> list[Contestant]:
    """Let the app answer others while a thousand clients send resumable uploads slowly."""
    ours, seconds = course.ours, course.plan.seconds
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * CROWD)), hard))
    crowd = Crowd(ours)
    stack.callback(crowd.leave)
    upload = ours.raw
    if upload is None:
        return []
    ping = partial(load.get, f"{ours.origin}/ping", seconds=seconds, connections=FEW)
    put = partial(load.put, ours.origin, upload, BODY, seconds=seconds, connections=FEW)
    note = f"{CROWD:,} clients trickle meanwhile"
    return [
        Contestant(OURS, ours.roots, ping, f"GET /ping; {note}", before=crowd.come, after=crowd.leave),
        Contestant(UNDISTURBED, ours.roots, ping, "GET /ping; no other clients"),
        Contestant(UPLOADS, ours.roots, put, f"PUT {STREAMS}; {note}", before=crowd.come, after=crowd.leave),
        Contestant(UPLOADS_UNDISTURBED, ours.roots, put, f"PUT {STREAMS}; no other clients"),
    ]


class Crowd:
    """Clients that send an upload slowly."""

    def __init__(self, server: Server) -> None:
        """Begin with no clients."""
        self._server = server
        self._held: list[socket.socket] = []
        self._paths: list[str] = []
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    def come(self) -> None:
        """Begin their uploads, and send slowly from now on. Raises LoadError if one is refused."""
        with ThreadPoolExecutor(FEW) as pool:
            self._paths = list(pool.map(lambda _: _begun(self._server), range(CROWD)))
            self._held = list(pool.map(lambda path: _sending(self._server, path, 0), self._paths))
        self._ends.clear()
        self._thread = threading.Thread(target=self._trickle, daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Hang up and end the uploads, so that they leave no work for the next turn."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join()
        while self._held:
            self._held.pop().close()
        with ThreadPoolExecutor(FEW) as pool:
            list(pool.map(lambda path: _asked(self._server, "DELETE", path, TUS), self._paths))
        self._paths = []
        self._server.uploads.clear()

    def _trickle(self) -> None:
        rounds = round(PAUSE / STEP)
        for number in itertools.cycle(range(rounds)):
            if self._ends.wait(STEP):
                return
            for client in self._held[number::rounds]:
                client.sendall(DRIP)


def _takers(course: Course) -> list[tuple[Server, str]]:
    ours = (course.ours, "nginx keeps what came; fsync of what is kept")
    return [ours, *((server, "writes as it reads; no fsync") for server in course.peers("@tus/server"))]


def _cut(server: Server) -> Sample:
    """Send a random part of an upload, hang up and ask for the offset, again and again."""
    again = []
    for _ in range(CUTS):
        path, wanted = _begun(server), random.randrange(PIECE, UPLOAD)
        with _sending(server, path, 0) as client:
            for start in range(0, wanted, PIECE):
                client.sendall(bytes(min(PIECE, wanted - start)))
        offset = int(_asked(server, "HEAD", path, TUS)["upload-offset"])
        if offset > wanted:
            raise LoadError(f"it has {offset} of {wanted} bytes")
        again.append((wanted - offset) / KIB)
        _asked(server, "DELETE", path, TUS)
    return {"requests": CUTS, "resent": statistics.median(again), "resent_most": max(again)}


def _begun(server: Server) -> str:
    """Begin an upload and return its path."""
    upload = server.raw if server.raw and server.name != OURS else RESUMABLE
    return urlsplit(_asked(server, "POST", upload.path, {**TUS, "Upload-Length": str(UPLOAD)})["location"]).path


def _sending(server: Server, path: str, offset: int) -> socket.socket:
    """Send the head of a request with the rest of an upload, and return its connection once it is let in."""
    host, port = server.origin.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)))
    head = {**TUS, "Content-Type": MEDIA_TYPE, "Upload-Offset": str(offset), "Content-Length": str(UPLOAD - offset)}
    lines = [f"PATCH {path} HTTP/1.1", f"Host: {host}:{port}", *(f"{name}: {value}" for name, value in head.items())]
    client.sendall("\r\n".join([*lines, "Expect: 100-continue", "", ""]).encode())
    client.settimeout(load.TIMEOUT)
    if not (answer := client.recv(PIECE)).startswith(b"HTTP/1.1 100 "):
        raise LoadError(f"PATCH {path}: {answer[:30]!r}")
    return client


def _asked(server: Server, method: str, path: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Send a request without a body and return the response's headers. Raises LoadError for a refusal."""
    connection = HTTPConnection(server.origin.removeprefix("http://"), timeout=load.TIMEOUT)
    try:
        connection.request(method, path, headers=dict(headers))
        response = connection.getresponse()
        response.read()
    finally:
        connection.close()
    if response.status >= 400:
        raise LoadError(f"{method} {path}: {response.status}")
    return {name.lower(): value for name, value in response.getheaders()}


BENCHMARKS = (
    Benchmark(
        name="cut-uploads",
        title="Resumable uploads that are cut",
        text=f"{CUTS} times, a client sends a random part of {UPLOAD // MIB} MiB by tus, hangs up, and asks for the "
        "offset: how many KiB are to be sent again, in the median and at most.",
        contestants=cuts,
        shown="resent",
        rounds=lambda plan: max(1, plan.rounds - 2),
        goals=(Goal("resent", 512, at_least=False),),
    ),
    Benchmark(
        name="offsets",
        title="Offsets of resumable uploads",
        text=f"HEAD of one unfinished upload, {FEW} connections.",
        contestants=offsets,
        rounds=lambda plan: plan.rounds,
        goals=(Goal("rate", 1000),),
    ),
    Benchmark(
        name="trickling",
        title="Others while a thousand clients trickle",
        text=f"`GET /ping`, which Flask answers, and raw uploads of {BODY // KIB} KiB, over {FEW} connections, "
        f"with and without {CROWD:,} clients that send {len(DRIP)} bytes of a resumable upload every {PAUSE} seconds.",
        contestants=trickling,
        rounds=lambda plan: max(1, plan.rounds - 2),
        goals=(
            Goal("rate", 0.9, to=UNDISTURBED),
            Goal("cpu_ms", 1.1, to=UNDISTURBED, at_least=False),
            Goal("rate", 0.9, of=UPLOADS, to=UPLOADS_UNDISTURBED),
            Goal("cpu_ms", 1.1, of=UPLOADS, to=UPLOADS_UNDISTURBED, at_least=False),
        ),
    ),
)
