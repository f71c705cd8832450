"""Benchmarks of large bodies: down, alone and several at once, and up, raw and multipart."""

import os
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial

from benchmarks.serving import load
from benchmarks.serving.benchmark import Benchmark, Contestant, Course, Goal
from benchmarks.serving.load import LoadError
from benchmarks.serving.reading import GETTERS
from benchmarks.serving.server import OURS, Server, Upload

STREAMS = 8
HASHED = f"{OURS}, by hash"
BY_TUS = f"{OURS}, by tus"
RESUMABLE = Upload(
    "POST",
    "/uploads/streams",
    "fsync of file and folder, rows committed; resumable",
    headers={
        "Tus-Resumable": "1.0.0",
        "Upload-Length": "{bytes}",
        "Content-Type": "application/offset+octet-stream",
    },
)
MEMORY = Goal("grown", 32, at_least=False)  # MiB


def _downloads(course: Course, streams: int) -> list[Contestant]:
    contestants = []
    for server in (course.ours, *course.peers(*GETTERS)):
        turn = partial(load.download, server.origin + server.large, course.plan.large, streams=streams)
        contestants.append(Contestant(server.name, server.roots, turn, server.gets))
    return contestants


def alone(course: Course, _: ExitStack) -> list[Contestant]:
    """Let all send the large file once."""
    return _downloads(course, 1)


def together(course: Course, _: ExitStack) -> list[Contestant]:
    """Let all send the large file several times at once."""
    return _downloads(course, STREAMS)


def _uploads(course: Course, taking_part: Iterable[tuple[str, Server, Upload | None]]) -> list[Contestant]:
    contestants = []
    for who, server, upload in taking_part:
        if upload is None:
            continue
        turn = partial(load.send, server.origin, upload, course.place.large)
        after = partial(_check, server, course.plan.large)
        before = partial(_prepare, course, server)
        contestants.append(Contestant(who, server.roots, turn, upload.includes, before=before, after=after))
    return contestants


def _prepare(course: Course, server: Server) -> None:
    server.uploads.clear()
    course.place.warm(2 * course.plan.large)


def _check(server: Server, size: int) -> None:
    """Remove what was uploaded, if it is there."""
    if server.uploads.size() < size:
        raise LoadError("it says that it has the file, and has not")
    server.uploads.clear()
    os.sync()  # what one leaves to be written must not burden the next


def raw(course: Course, _: ExitStack) -> list[Contestant]:
    """Let all receive the large file as a raw body."""
    servers = [course.ours, *course.peers("nginx", "copyparty", "wsgidav", "@tus/server")]
    taking_part = [(server.name, server, server.raw) for server in servers]
    return _uploads(course, [*taking_part, (BY_TUS, course.ours, RESUMABLE)])


def multipart(course: Course, _: ExitStack) -> list[Contestant]:
    """Let all receive the large file in a form."""
    by_hash = Upload("POST", "/", "a SHA-256, fsync of file and folder, a row committed", part="file")
    servers = [course.ours, course.classic, *course.peers("copyparty", "uploadserver")]
    taking_part = [(server.name, server, server.form) for server in servers]
    return _uploads(course, [*taking_part, (HASHED, course.ours, by_hash)])


BENCHMARKS = (
    Benchmark(
        name="large-get",
        title="Large GET",
        text="1 GiB (128 MiB if quick), one connection, curl into /dev/null.",
        contestants=alone,
        rounds=lambda plan: plan.large_rounds,
        goals=(Goal("rate", 0.97, to="nginx"), *(Goal("rate", 1.0, to=name) for name in GETTERS[1:]), MEMORY),
    ),
    Benchmark(
        name="large-get-8",
        title=f"Large GET, {STREAMS} at once",
        text=f"1 GiB (128 MiB if quick) by each of {STREAMS} curls at the same time.",
        contestants=together,
        rounds=lambda plan: max(1, plan.large_rounds - 2),
        goals=(Goal("rate", 0.97, to="nginx"), *(Goal("rate", 1.0, to=name) for name in GETTERS[1:]), MEMORY),
    ),
    Benchmark(
        name="large-put",
        title="Large raw PUT",
        text="1 GiB (128 MiB if quick), one connection. The rate depends on who waits for the disk: compare CPU. "
        "nginx alone is the floor of ours, which receives by nginx, too. Only ours syncs, and pays for what the kernel "
        "writes for the others later.",
        contestants=raw,
        shown="cpu",
        rounds=lambda plan: plan.large_rounds,
        goals=(
            Goal("cpu", 1.2, to="nginx", at_least=False),
            Goal("cpu", 0.25, to="copyparty", at_least=False),
            Goal("cpu", 0.25, to="@tus/server", at_least=False),
            Goal("cpu", 0.6, of=BY_TUS, at_least=False),
            Goal("cpu", 1.25, of=BY_TUS, to=OURS, at_least=False),
            Goal("cpu", 0.25, of=BY_TUS, to="@tus/server", at_least=False),
            MEMORY,
        ),
    ),
    Benchmark(
        name="large-post",
        title="Large multipart POST",
        text="1 GiB (128 MiB if quick), one connection.",
        contestants=multipart,
        rounds=lambda plan: plan.large_rounds,
        goals=(Goal("rate", 2, to="classic"), Goal("cpu", 2, at_least=False), MEMORY),
    ),
)
