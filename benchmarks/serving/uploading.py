"""Benchmarks of small uploads, and of slow clients."""

import os
import socket
from contextlib import ExitStack
from functools import partial

from benchmarks.serving import load
from benchmarks.serving.benchmark import Benchmark, Contestant, Course, Goal
from benchmarks.serving.load import BOUNDARY
from benchmarks.serving.reading import CONNECTIONS
from benchmarks.serving.server import OURS, Server
from benchmarks.serving.service import ONCE

BODY = 64 * 1024  # bytes
SLOW_CLIENTS = 200  # many more than uWSGI has threads
FEW = 8  # connections, of those that are not slow
UNDISTURBED = f"{OURS}, undisturbed"


def small_put(course: Course, _: ExitStack) -> list[Contestant]:
    """Let all receive small bodies."""
    raw = [course.ours, *course.peers("nginx", "copyparty", "wsgidav", "@tus/server")]
    forms = [course.classic, *course.peers("uploadserver")]
    contestants = []
    for server, upload in [*((one, one.raw) for one in raw), *((one, one.form) for one in forms)]:
        if upload is None:
            continue
        turn = partial(load.put, server.origin, upload, BODY, seconds=course.plan.seconds, connections=CONNECTIONS)
        note = f"{'multipart: ' if upload.part else ''}{upload.includes}"
        contestants.append(Contestant(server.name, server.roots, turn, note, after=partial(_clean, server)))
    return contestants


def _clean(server: Server) -> None:
    server.uploads.clear()
    os.sync()


def slow_clients(course: Course, stack: ExitStack) -> list[Contestant]:
    """Let the app answer others while many clients are in the middle of an upload."""
    ours = course.ours
    holding: list[socket.socket] = []
    turn = partial(load.get, f"{ours.origin}/ping", seconds=course.plan.seconds, connections=FEW)

    def begin() -> None:
        holding.extend(_half_sent(course.service.port) for _ in range(SLOW_CLIENTS))

    def end() -> None:
        while holding:
            holding.pop().close()

    stack.callback(end)
    slow = f"{SLOW_CLIENTS} multipart uploads wait half sent"
    return [
        Contestant(OURS, ours.roots, turn, slow, before=begin, after=end),
        Contestant(UNDISTURBED, ours.roots, turn, "no other clients"),
    ]


def _half_sent(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port))
    head = f"PUT {ONCE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="file.txt"\r\n\r\n{"x" * BODY}'
    client.sendall(f"{head}Content-Length: {4 * BODY}\r\n\r\n{part}".encode())
    return client


BENCHMARKS = (
    Benchmark(
        name="small-put",
        title="Small PUT",
        text=f"64 KiB, {CONNECTIONS} connections.",
        contestants=small_put,
        rounds=lambda plan: plan.rounds,
        goals=(Goal("rate", 0.35, to="nginx"),),
    ),
    Benchmark(
        name="slow-clients",
        title="Others while clients are slow",
        text=f"`GET /ping`, which Flask answers, over {FEW} connections, with and without {SLOW_CLIENTS} clients that "
        "have sent half of a multipart upload and pause.",
        contestants=slow_clients,
        rounds=lambda plan: plan.rounds,
        goals=(Goal("rate", 0.9, to=UNDISTURBED),),
    ),
)
