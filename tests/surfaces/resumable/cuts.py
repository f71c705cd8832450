"""Real clients over a breaking connection: `make cuts CUTS=100`, or `python -m tests.surfaces.resumable.cuts`.

tus-js-client and tuspy upload files, one after the other, while a proxy cuts their connections at random bytes: it
closes them, resets them, or lets the service wait for a client that has gone without a word. In production
tus-js-client also speaks HTTP/2, by an nginx of its own that is not killed, and resets streams of a connection that
stays; and one part of the service after the other is killed meanwhile. Each file must be the one that was sent, and
nothing may be left.
"""

import argparse
import itertools
import random
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from os import kill
from pathlib import Path
from signal import SIGKILL

import requests
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from tests.chaos.killer import parts
from tests.production.tls import fronting
from tests.services import Service, await_, running
from tests.surfaces.resumable.cutting import Fate, cutting
from tests.surfaces.resumable.tus_js import INSTALLED, uploaded
from vimeo_api.core.maintenance import dead_bodies

PROFILES = ("embedded", "production")
KILLED = ("web", "nginx", "postgres", "placer")
KILL_SECONDS = 8  # between two kills; the service is back in a part of it
SIZE = 6 * 1024**2
CUTS = 10  # of one upload
SILENCES = 2  # of one upload: in production a client that is back waits 15 s for the old connection
WAYS = ("plain", "chunked", "parallel", "parallel and chunked", "deferred", "data during creation")
HTTP_2 = "HTTP/2"
UNFINISHED_SECONDS = 60  # then uploads are removed that a client has given up to begin anew, as tus-js-client does
TRIES = 200
TRY_SECONDS = 0.1


def main() -> int:
    """Cut the uploads in each profile, and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=100, help="in each profile")
    parser.add_argument("--profile", choices=PROFILES)
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    words = parser.parse_args()
    print(f"seed {words.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="cuts-") as folder:
        for profile in [words.profile] if words.profile else PROFILES:
            with running(profile, Path(folder) / profile, UNFINISHED_SECONDS=str(UNFINISHED_SECONDS)) as service:
                run(service, Path(folder), words.cuts, random.Random(f"{words.seed}/{profile}"))
    return 0


def run(service: Service, folder: Path, wanted: int, dice: random.Random) -> None:
    """Upload until there were that many cuts. Raises AssertionError for a file that differs, and for leftovers."""
    file, before, made = folder / "file.bin", service.spooled(), 0
    ways = [*WAYS, "tuspy"] if INSTALLED else ["tuspy"]
    with killing(service), ExitStack() as stack:
        front = stack.enter_context(fronting(service, folder / "tls")) if service.profile == "production" else None
        ways += [HTTP_2] if front and INSTALLED else []
        for way, fate in zip(itertools.cycle(ways), itertools.cycle(Fate)):
            data = dice.randbytes(SIZE)
            file.write_bytes(data)
            limits = [dice.randint(1, SIZE // 6) for _ in range(SILENCES if fate is Fate.SILENCE else CUTS)]
            if front and way == HTTP_2:
                path = uploaded(front.https, file, "plain", limits=limits, trusted=front.certificate, seconds=600)
                said, cuts = way, len(limits)
            else:
                with cutting(service.port, limits, fate) as proxy:
                    path = upload(f"http://127.0.0.1:{proxy.port}", file, way)
                    said, cuts = f"{way}, {fate.value}", len(limits) - len(proxy.left)
            assert await_(partial(stored, service, path)) == data, f"{said}: another file"
            made += cuts
            print(f"{service.profile}: {said}, {cuts} cuts: identical; {made} in all", flush=True)
            if made >= wanted:
                break
    unfinished = service.spool / "unfinished"
    await_(lambda: not list(unfinished.glob("*")), 3 * UNFINISHED_SECONDS)
    # What a killed nginx told nobody of goes, too.
    await_(lambda: service.spooled() <= before, 3 * dead_bodies.AGE_SECONDS)
    print(f"{service.profile}: nothing is left", flush=True)


def upload(origin: str, file: Path, way: str) -> str:
    """Upload by one of the clients, and return the path of the upload."""
    return by_tuspy(f"{origin}/uploads/streams", file) if way == "tuspy" else uploaded(origin, file, way, seconds=600)


def by_tuspy(endpoint: str, file: Path) -> str:
    """Upload by tuspy, which resumes by itself where it can, and return the path of the upload."""
    url, pause = None, threading.Event()
    for _ in range(TRIES):
        with suppress(TusCommunicationError, requests.RequestException, OSError):
            uploader = TusClient(endpoint).uploader(str(file), url=url, chunk_size=1_000_000)
            if url is None:
                uploader.set_url(uploader.create_url())
                url = uploader.url
            uploader.upload()
            return "/uploads/" + str(url).partition("/uploads/")[2]
        pause.wait(TRY_SECONDS)
    raise AssertionError(f"tuspy: not done after {TRIES} tries")


def stored(service: Service, path: str) -> bytes | None:
    """Return what the service stored of a finished upload, None while it does not say."""
    with suppress(requests.RequestException):
        answer = requests.get(service.url + path, timeout=60)
        if answer.status_code == 201:
            file = requests.get(f"{service.url}/v1/streams/{answer.json()['id']}", timeout=60)
            return file.content if file.status_code == 200 else None
    return None


@contextmanager
def killing(service: Service) -> Iterator[None]:
    """Kill one part of a stack after the other until the block ends; the embedded profile has nobody to restart it."""
    ended = threading.Event()

    def strike() -> None:
        for part in itertools.cycle(KILLED):
            if ended.wait(KILL_SECONDS):
                return
            for process in parts(service).get(part, []) if part != "postgres" else parts(service).get(part, [])[:1]:
                with suppress(ProcessLookupError):
                    kill(process.pid, SIGKILL)

    thread = threading.Thread(target=strike, daemon=True)
    if service.profile == "production":
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread.ident is not None:
            thread.join()


if __name__ == "__main__":
    sys.exit(main())
