"""Workers that are killed over and over: `python -m tests.mortals SEED DEATHS`, in a service's environment.

Each worker is a fork of this process, which has imported everything, so it works after a tenth of the time of a real
start. It runs the service's own command, given as JSON in COMMAND. It dies by SIGKILL at a moment that the seed
chooses: some time after its first claim, or right before or after one of `MOMENTS`, whichever comes first. Each death
is a line on stdout.
"""

import ctypes
import json
import os
import random
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import celery.bin.celery
import celery.concurrency.thread
import celery.worker.consumer
import celery.worker.control
import celery.worker.strategy
import kombu.transport.redis
import kombu.transport.sqlalchemy
import psycopg

import vimeo_api.service_commands.serving
from vimeo_api.core.fetching import claims
from vimeo_api.core.fetching.partial_file import PartialFile
from vimeo_api.core.fetching.session import Session
from vimeo_api.core.storage.blobs import Blobs, Staging

IMPORTED = (celery, kombu, psycopg, vimeo_api)
LONGEST_LIFE = 2  # times the time from the fork to the first claim, so that it also suits slow machines
MOMENTS: list[tuple[Any, str]] = [
    (claims, "claim"),
    (claims, "finish"),
    (claims, "fail"),
    (Session, "get"),
    (PartialFile, "sign"),
    (PartialFile, "begin"),
    (PartialFile, "write_at"),
    (PartialFile, "checkpoint"),
    (PartialFile, "discard"),
    (Staging, "digest"),
    (Staging, "sync"),
    (Blobs, "publish"),
    (Blobs, "unpublish"),
    (os, "ftruncate"),
    (os, "fdatasync"),
    (os, "replace"),
    (os, "unlink"),
]
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG, prctl(2)


def main(seed: str, deaths: int, command: list[str]) -> None:
    """Let `deaths` workers die, one after the other."""
    for owner, name in MOMENTS:
        getattr(owner, name)  # fail at once where it has another name now, not when the seed chooses it
    for number in range(deaths):
        pid = os.fork()
        if pid == 0:
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            _doom(random.Random(f"{seed} {number}"))
            _run(command)
        _, status = os.waitpid(pid, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            raise SystemExit(f"worker {number} ended by itself: {status}")
        print(f"worker {number} is dead", flush=True)  # noqa: T201 -- the test reads it


def _run(command: list[str]) -> None:
    """Run what `python program …` or `python … -m module …` would run."""
    if "-m" in command:
        sys.argv = command[command.index("-m") + 1 :]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command[1:]
        runpy.run_path(sys.argv[0], run_name="__main__")


def _doom(chance: random.Random) -> None:
    born, life = time.monotonic(), chance.uniform(0, LONGEST_LIFE)
    _wrap(claims, "claim", after=lambda: threading.Timer(life * (time.monotonic() - born), _die).start())
    if chance.random() < 0.7:  # the others die of age
        owner, name = chance.choice(MOMENTS)
        spared = iter(range(chance.choice([0, 0, 0, 1, 2, 5, 20])))

        def strike() -> None:
            if next(spared, None) is None:
                _die()

        _wrap(owner, name, **{chance.choice(["before", "after"]): strike})


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _wrap(owner: Any, name: str, *, before: Callable[[], object] = bool, after: Callable[[], object] = bool) -> None:
    wrapped = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        before()
        answer = wrapped(*args, **kwargs)
        after()
        return answer

    setattr(owner, name, call)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), json.loads(os.environ["COMMAND"]))
