"""Benchmarks of small responses: public files, refusals, one-time files."""

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from benchmarks.serving import load
from benchmarks.serving.benchmark import Benchmark, Contestant, Course, Goal
from benchmarks.serving.load import Sample
from benchmarks.serving.place import SMALL_NAME
from benchmarks.serving.server import OURS, Server
from benchmarks.serving.service import ONCE, STREAMS, Service

CONNECTIONS = 64
GETTERS = ("nginx", "caddy", "copyparty", "uploadserver", "wsgidav")
UNKNOWN = "00000000-0000-4000-8000-000000000000"
PAST_THE_CACHE = {"Authorization": "Bearer nobody"}  # no cache in nginx answers a request with credentials
KEYS_PER_SECOND = 10_000  # more than can be asked for
USED_UP, UNCACHED = f"{OURS}, 410", f"{OURS}, past nginx's cache"


def small_get(course: Course, _: ExitStack) -> list[Contestant]:
    """Let all send the same small file over and over."""
    contestants = []
    for server in (course.ours, *course.peers(*GETTERS)):
        turn = partial(load.get, server.origin + server.small, seconds=course.plan.seconds, connections=CONNECTIONS)
        contestants.append(Contestant(server.name, server.roots, turn, server.gets))
    return contestants


def hot_refusal(course: Course, _: ExitStack) -> list[Contestant]:
    """Let all refuse one path over and over."""
    ours, service = course.ours, course.service
    used_up = f"{ONCE}/{_used_up(service, course)}"
    asked = [(ours.name, ours, ours.missing, ours.gets), (USED_UP, ours, used_up, "a one-time link that is used up")]
    asked += [(peer.name, peer, peer.missing, _note(peer)) for peer in course.peers(*GETTERS)]
    return [
        Contestant(name, server.roots, _refused(server, path.replace("{uuid}", UNKNOWN), course), note)
        for name, server, path, note in asked
    ]


def random_refusal(course: Course, _: ExitStack) -> list[Contestant]:
    """Let all refuse paths that are new each time."""
    ours = course.ours
    contestants = [
        Contestant(ours.name, ours.roots, _refused(ours, ours.missing, course), ours.gets),
        Contestant(
            UNCACHED,
            ours.roots,
            _refused(ours, ours.missing, course, headers=PAST_THE_CACHE),
            "the same with credentials, for which nginx asks the app each time",
        ),
    ]
    for peer in course.peers(*GETTERS):
        path = peer.missing if "{" in peer.missing else f"{peer.missing}?{{uuid}}"
        contestants.append(Contestant(peer.name, peer.roots, _refused(peer, path, course), _note(peer)))
    return contestants


def _note(peer: Server) -> str:
    return "`return 404`, without disk access" if peer.name == "nginx" else peer.gets


def _used_up(service: Service, course: Course) -> str:
    key = service.add_once(course.place.small)
    load.download(f"{service.origin}{ONCE}/{key}", course.place.small.stat().st_size, streams=1)
    service.settle()
    return key


def _refused(
    server: Server, path: str, course: Course, *, headers: dict[str, str] | None = None
) -> Callable[[], Sample]:
    return partial(
        load.get_refused,
        server.origin + path,
        seconds=course.plan.seconds,
        connections=CONNECTIONS,
        headers=headers or {},
    )


class Keys:
    """Paths of files, each requested once; the next turn uses those that are left."""

    def __init__(self, make: Callable[[int], list[str]], count: int) -> None:
        """Keep `count` of them ready, made by a function."""
        self._make = make
        self._count = count
        self._paths: list[str] = []

    def prepare(self) -> None:
        """Make the missing ones."""
        if missing := self._count - len(self._paths):
            self._paths += self._make(missing)

    def turn(self, origin: str, *, seconds: int, connections: int) -> Sample:
        """Request them."""
        found = load.get_each(origin, self._paths, seconds=seconds, connections=connections)
        # Those under way at the end may have been sent or not.
        del self._paths[: int(found["requests"]) + 2 * connections]
        return found


def one_time(course: Course, _: ExitStack) -> list[Contestant]:
    """Let both apps send one-time files."""
    service = course.service
    template = service.add_once(course.place.small)

    def links(count: int) -> list[str]:
        return [f"{ONCE}/{key}" for key in service.copy_once(template, count)]

    ours = "lease, journal, confirmation, and the removal of the bytes by a worker"
    classic = "SELECT, UPDATE; nothing is confirmed, nothing removed"
    return [
        _each_once(course, course.ours, links, ours),
        _each_once(course, course.classic, partial(_classic_paths, service, "file"), classic),
    ]


def first_get(course: Course, _: ExitStack) -> list[Contestant]:
    """Let both apps send public files for the first time."""
    service = course.service
    template = course.ours.small.rpartition("/")[2]

    def streams(count: int) -> list[str]:
        return [f"{STREAMS}/{key}" for key in service.copy_stream(template, count)]

    return [
        _each_once(course, course.ours, streams, "SELECT"),
        _each_once(course, course.classic, partial(_classic_paths, service, "read"), "SELECT"),
    ]


def _each_once(course: Course, server: Server, make: Callable[[int], list[str]], note: str) -> Contestant:
    seconds = course.plan.seconds
    keys = Keys(make, KEYS_PER_SECOND * seconds)
    turn = partial(keys.turn, server.origin, seconds=seconds, connections=CONNECTIONS)
    settle = course.service.settle
    return Contestant(server.name, server.roots, turn, note, before=keys.prepare, settle=settle)


def _classic_paths(service: Service, where: str, count: int) -> list[str]:
    """Insert rows of the small file into the classic app's database, and return the paths of the file."""
    keys = [secrets.token_hex(16) for _ in range(count)]
    given = "".join(f"{key}\t{SMALL_NAME}\t{SMALL_NAME}\tf\tnow\n" for key in keys)
    copy = "COPY file (key, name, path, gone, created_at) FROM stdin"
    service.query(copy, "VACUUM ANALYZE file", given=given, database="classic")
    return [f"/classic/{where}/{key}" for key in keys]


BENCHMARKS = (
    Benchmark(
        name="small-get",
        title="Small GET of a public file",
        text=f"4 KiB, the same file over and over, {CONNECTIONS} connections.",
        contestants=small_get,
        rounds=lambda plan: plan.rounds,
        goals=(
            Goal("rate", 0.40, to="nginx"),
            Goal("rate", 1.5, to="caddy"),
            Goal("rate", 5, to="copyparty"),
        ),
    ),
    Benchmark(
        name="one-time",
        title="GET of one-time files",
        text=f"4 KiB, each file once, {CONNECTIONS} connections: PostgreSQL decides each time. The CPU time ends when "
        "all is confirmed and removed.",
        contestants=one_time,
        rounds=lambda plan: plan.rounds,
        goals=(Goal("rate", 2.5, to="classic"),),
    ),
    Benchmark(
        name="first-get",
        title="First GET of public files",
        text=f"4 KiB, each file once, {CONNECTIONS} connections: PostgreSQL decides each time, and nothing is written.",
        contestants=first_get,
        rounds=lambda plan: plan.rounds,
        goals=(Goal("rate", 2.5, to="classic"),),
    ),
    Benchmark(
        name="hot-404",
        title="Refusal of one path",
        text=f"404 over and over, ours also the 410 of a used-up link, {CONNECTIONS} connections.",
        contestants=hot_refusal,
        rounds=lambda plan: plan.rounds,
        goals=(Goal("rate", 0.30, to="nginx"), Goal("rate", 0.30, of=USED_UP, to="nginx")),
    ),
    Benchmark(
        name="random-404",
        title="Refusal of random ids",
        text=f"404, every path a new one, {CONNECTIONS} connections.",
        contestants=random_refusal,
        rounds=lambda plan: plan.rounds,
        goals=(Goal("rate", 1.0, to=UNCACHED),),
    ),
)
