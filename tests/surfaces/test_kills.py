"""Fetching workers are killed over and over: no wrong file, no stuck job, nothing left behind."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from tests.fetches import Fetch, begin
from tests.origin import Origin, Page, noise, serving
from tests.production.parts import stopped
from tests.services import ROOT, Service, await_, pids_of

MIB = 1024**2
WORKERS = 2
DEATHS = 4  # of each, on each profile; `make chaos` kills more
AT_ONCE = 7  # fetches
# What the command line of a worker that fetches contains.
FETCHER = {"embedded": "worker", "production": "-Q fetch,notify"}


@dataclass
class Kind:
    """A kind of fetch, and how it must end."""

    page: Page
    more: dict[str, str] = field(default_factory=dict)
    failure: str | None = None


def kinds() -> list[Kind]:
    big, small = noise(3 * MIB + 17), noise(MIB - 1)
    return [
        Kind(Page(big)),
        Kind(Page(big, throttle=200_000)),
        Kind(Page(small, ranges="no")),
        Kind(Page(small, ranges="no", framing="chunked")),
        Kind(Page(small, ranges="no", throttle=4 * MIB)),
        Kind(Page(big), {"sha256": hashlib.sha256(big).hexdigest()}),
        Kind(Page(small), {"sha256": "0" * 64}, failure="mismatch"),
        Kind(Page(big, break_after=600_000, breaks=10)),
        Kind(Page(statuses=[404] * 10_000), failure="origin"),
    ]


def test_killing_workers_repeatedly_does_no_harm(fetcher: Service, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 -- for who has to find out why it failed
    await_(lambda: not fetcher.spooled())
    before = fetcher.stored()
    with serving() as origin:
        fetches = fetched_meanwhile(fetcher, origin, str(seed), tmp_path / "deaths")
        for fetch, kind in fetches:
            check(fetch, kind)
    assert len(fetcher.stored() - before) == sum(kind.failure is None for _, kind in fetches)
    await_(lambda: not fetcher.spooled())


def fetched_meanwhile(service: Service, origin: Origin, seed: str, deaths: Path) -> list[tuple[Fetch, Kind]]:
    """Keep a number of fetches running at once while workers die, and return them all."""
    fetches: list[tuple[Fetch, Kind]] = []
    flying: list[Fetch] = []
    wanted = cycle(kinds())
    with mortals(service, seed, deaths) as ended:
        while not ended():
            flying = [fetch for fetch in flying if fetch.runs]
            while len(flying) < AT_ONCE:
                kind = next(wanted)
                fetch = begin(service, origin.serve(f"/{len(fetches)}", kind.page), **kind.more)
                flying.append(fetch)
                fetches.append((fetch, kind))
            time.sleep(0.5)  # to ask for the status of each costs the service more than the fetches
    assert deaths.read_text().count("is dead") == WORKERS * DEATHS
    return fetches


@contextmanager
def mortals(service: Service, seed: str, deaths: Path) -> Iterator[Callable[[], bool]]:
    """Kill workers of the service, a line in a file for each; yield what says whether the last one is dead."""
    worker = Path(f"/proc/{await_(lambda: pids_of(service, FETCHER[service.profile]))[0]}")
    command, environ = ((worker / name).read_text().split("\0")[:-1] for name in ("cmdline", "environ"))
    variables = dict(line.split("=", 1) for line in environ) | {"COMMAND": json.dumps(command)}
    mortal = [*as_owner_of(service.data / "incoming"), sys.executable, "-m", "tests.mortals"]
    with deaths.open("ab") as lines, ExitStack() as stack:
        stack.enter_context(stopped(service, "fetcher") if service.profile == "production" else frozen_worker(service))
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [*mortal, f"{seed} {number}", str(DEATHS)],
                    cwd=ROOT,
                    env=variables,
                    stdin=subprocess.PIPE,  # whose end would tell the embedded worker to end
                    stdout=lines,
                )
            )
            for number in range(WORKERS)
        ]
        for process in processes:
            stack.callback(process.kill)
        yield lambda: all(process.poll() is not None for process in processes)


@contextmanager
def frozen_worker(service: Service) -> Iterator[None]:
    """Keep the embedded service from fetching: kill its worker, and freeze the next one while it is being imported."""
    # The first worker makes the queues in the file of the broker; two new ones at once would both try to.
    await_(lambda: [*(service.data / "heartbeats").glob("delete@*")])
    (old,) = pids_of(service, FETCHER[service.profile])
    os.kill(old, signal.SIGKILL)
    frozen = await_(lambda: [pid for pid in pids_of(service, FETCHER[service.profile]) if pid != old])[0]
    os.kill(frozen, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(frozen, signal.SIGKILL)  # the service starts another one


def as_owner_of(folder: Path) -> list[str]:
    """Return what makes a command run as the parts of the stack do, which give up root."""
    owner = folder.stat()
    if os.geteuid() == owner.st_uid:
        return []
    ids = ["--reuid", str(owner.st_uid), "--regid", str(owner.st_gid), "--clear-groups"]
    return ["setpriv", *ids, "--inh-caps", "+dac_override", "--ambient-caps", "+dac_override", "--"]


def check(fetch: Fetch, kind: Kind) -> None:
    """Fail unless a fetch ends as its kind must."""
    status = fetch.ended()
    assert (status["state"], status["failure"]) == ("failed" if kind.failure else "available", kind.failure), status
    answer = fetch.download()
    if kind.failure:
        assert (answer.status_code, answer.json()) == (502, {"error": status["error"]})
    else:
        assert answer.content == kind.page.content, kind
