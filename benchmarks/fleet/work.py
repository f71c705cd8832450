"""The kinds of requests, and what each costs the parts of a service."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median

import requests

from benchmarks.fleet.sites import Site
from benchmarks.serving import load
from benchmarks.serving.place import Place
from benchmarks.serving.plan import GIB, MIB
from benchmarks.serving.server import Upload
from benchmarks.serving.service import ONCE, STREAMS

BODY = 4096  # bytes
CONNECTIONS = 8
LISTED = 100  # names on a page
FETCHES, FETCHERS = 100, 4
LARGE = 64 * MIB
STREAM = Upload("PUT", STREAMS, "")
ONE_TIME = Upload("PUT", ONCE, "", part="file")
NAMED = Upload("POST", "/upload/{name}", "")

Costs = Mapping[str, Mapping[str, float]]  # CPU seconds by kind and part


@dataclass(frozen=True)
class Amount:
    """How much is done in a turn."""

    seconds: int  # of small requests
    up: int  # uploads of 64 MiB
    down: int  # downloads of 64 MiB


SMALL_KINDS = (
    "PUT, 4 KiB",
    "first GET",
    "hot GET",
    "404, other ids",
    "404, one id",
    "page of 100 names",
    "DELETE",
    "PUT, one-time",
    "GET, one-time",
    "upload by URL",
)
UP, DOWN = "64 MiB up", "64 MiB down"


def costs(site: Site, place: Place, amount: Amount, idle: Mapping[str, float]) -> Costs:
    """Measure each kind once; return CPU seconds per request, or per GiB for large files."""
    origin, seconds = site.service.origin, amount.seconds
    get_each = partial(load.get_each, origin, seconds=seconds, connections=CONNECTIONS)
    get = partial(load.get, seconds=seconds, connections=CONNECTIONS)
    put = partial(load.put, origin, size=BODY, seconds=seconds, connections=CONNECTIONS)
    get_refused = partial(load.get_refused, headers={}, seconds=seconds, connections=CONNECTIONS)
    found: dict[str, Mapping[str, float]] = {}

    def small(kind: str, turn: "partial[load.Sample]") -> None:
        found[kind] = site.cost(lambda: turn()["requests"], idle)

    begun = site.last()
    small("PUT, 4 KiB", partial(put, STREAM))
    streams = [f"{STREAMS}/{key}" for key in site.keys("streams", begun)]
    small("first GET", partial(get_each, streams))
    small("hot GET", partial(get, origin + streams[0]))
    small("404, other ids", partial(get_refused, f"{origin}{STREAMS}/{{uuid}}"))
    small("404, one id", partial(get_refused, f"{origin}{STREAMS}/unknown"))
    if len(site.keys("named", 0)) < LISTED:
        put(NAMED)
        site.settle()
    small("page of 100 names", partial(get, f"{origin}/download?limit={LISTED}"))
    small("DELETE", partial(get_each, streams, method="DELETE"))
    begun = site.last()
    small("PUT, one-time", partial(put, ONE_TIME))
    links = [f"{ONCE}/{key}" for key in site.keys("vimeo", begun)]
    small("GET, one-time", partial(get_each, links))
    with _serving(site.us) as url:
        found["upload by URL"] = site.cost(lambda: _fetch(origin, url), idle)
    begun = site.last()
    found[UP] = site.cost(lambda: _upload(origin, place, amount.up), idle)
    path = STREAMS + "/" + site.keys("streams", begun)[0]
    found[DOWN] = site.cost(lambda: download(origin + path, LARGE, amount.down), idle)
    return found


def download(url: str, size: int, times: int) -> float:
    """Download a file a few times; return how many GiB it was."""
    for _ in range(times):
        load.download(url, size, streams=1)
    return size * times / GIB


def _upload(origin: str, place: Place, times: int) -> float:
    for _ in range(times):
        load.send(origin, STREAM, place.large)
    return LARGE * times / GIB


def _fetch(origin: str, url: str) -> float:
    """Let files be fetched; return how many."""

    def fetch(number: int) -> None:
        answer = requests.post(f"{origin}/uploadFile", json={"file": f"{url}/{number}.txt"}, timeout=60)
        answer.raise_for_status()

    with ThreadPoolExecutor(FETCHERS) as threads:
        list(threads.map(fetch, range(FETCHES)))
    return FETCHES


class _Origin(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(BODY))
        self.end_headers()
        self.wfile.write(bytes(BODY))

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _serving(address: str) -> Iterator[str]:
    """Serve small files from this process, whose CPU time is not counted."""
    with ThreadingHTTPServer((address, 0), _Origin) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{address}:{server.server_port}"
        finally:
            server.shutdown()


def medians(rounds: Sequence[Costs]) -> Costs:
    """Return the median of each number over the rounds."""
    return {kind: {part: median(one[kind][part] for one in rounds) for part in rounds[0][kind]} for kind in rounds[0]}
