"""Benchmarks of how cost grows: with the rows of the database, and with connections."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice

from benchmarks.serving import load
from benchmarks.serving.benchmark import Benchmark, Contestant, Course, Goal, nothing
from benchmarks.serving.load import Sample
from benchmarks.serving.reading import GETTERS
from benchmarks.serving.server import OURS, Upload
from benchmarks.serving.service import ONCE, STREAMS, Rows, Service, running_stack

BODY = 4096  # bytes
SECONDS = 1  # of a turn over one connection
MOST_KEYS = 8000  # of streams, asked for in turn
STREAM, ONE_TIME, UNKNOWN, PUT = (
    f"{OURS}, {what}" for what in ("GET of a stream", "GET of a one-time file", "404 of a stream", "PUT of a stream")
)


def rows(course: Course, stack: ExitStack) -> list[Contestant]:
    """Start a stack for each number of rows, so that they can take turns."""
    contestants = []
    for number in course.plan.rows:
        service = stack.enter_context(running_stack(course.place, f"rows{number}"))
        contestants += _with_rows(course, service, number)
    return contestants


def _with_rows(course: Course, service: Service, number: int) -> list[Contestant]:
    stream, link = service.add_stream(course.place.small), service.add_once(course.place.small)
    service.fill(stream, link, number)
    uploads = Rows(service, int(service.query("SELECT max(id) FROM files")))
    # No path is asked for twice, so that nothing answers from a cache.
    streams = _forever(service.some_keys("streams", MOST_KEYS))
    links = service.some_keys("vimeo", MOST_KEYS)
    service.link_once(link, links)

    def next_streams() -> Sample:
        return load.get_each(service.origin, list(islice(streams, MOST_KEYS)), seconds=SECONDS, connections=1)

    def next_links() -> Sample:
        found = load.get_each(service.origin, [f"{ONCE}/{key}" for key in links], seconds=SECONDS, connections=1)
        del links[: int(found["requests"]) + 2]
        return found

    unknown = partial(
        load.get_refused, f"{service.origin}{STREAMS}/{{uuid}}", seconds=SECONDS, connections=1, headers={}
    )
    put = partial(load.put, service.origin, Upload("PUT", STREAMS, ""), BODY, seconds=SECONDS, connections=1)
    turns: list[tuple[str, Callable[[], Sample], Callable[[], None], Callable[[], None]]] = [
        (STREAM, next_streams, nothing, nothing),
        (ONE_TIME, next_links, service.settle, nothing),
        (UNKNOWN, unknown, nothing, nothing),
        (PUT, put, nothing, uploads.clear),
    ]
    return [
        Contestant(who, (service.pid,), turn, "4 KiB, another id each time", at=number, settle=settle, after=after)
        for who, turn, settle, after in turns
    ]


def _forever(keys: Sequence[str]) -> Iterator[str]:
    """Yield paths of streams in turn, none of them twice: each has a new query, which is ignored."""
    for number, key in enumerate(cycle(keys)):
        yield f"{STREAMS}/{key}?{number}"


def connections(course: Course, _: ExitStack) -> list[Contestant]:
    """Let all send the small file over more and more connections."""
    contestants = []
    for server in (course.ours, *course.peers(*GETTERS)):
        for number in course.plan.connections:
            turn = partial(load.get, server.origin + server.small, seconds=course.plan.seconds, connections=number)
            contestants.append(Contestant(server.name, server.roots, turn, server.gets, at=number))
    return contestants


BENCHMARKS = (
    Benchmark(
        name="rows",
        title="Latency by rows",
        text="One connection; half of the rows are streams, half one-time files. A stack for each number of rows.",
        contestants=rows,
        rounds=lambda plan: plan.rounds,
        goals=tuple(Goal("p50", 1.2, of=who, at_least=False, ends=True) for who in (STREAM, ONE_TIME)),
        scale="rows",
        shown="p50",
    ),
    Benchmark(
        name="connections",
        title="Throughput by connections",
        text="Small GET of a public file, 4 KiB, the same over and over.",
        contestants=connections,
        rounds=lambda plan: max(1, plan.rounds - 2),
        scale="connections",
    ),
)
