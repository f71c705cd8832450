"""The worker of `manage.py runserver`: a child process, with beat, that ends with the server."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from celery import Celery, signals
from celery.beat import EmbeddedService
from celery.exceptions import SecurityWarning
from flask import Flask

from vimeo_api.config import Settings
from vimeo_api.core.monitoring.heartbeat_step import add_heartbeats
from vimeo_api.extensions import init_celery

_RESTART_SECONDS = 1
FETCHERS = 8

_log = logging.getLogger(__name__)


@contextmanager
def worker_child(settings: Settings) -> Iterator[None]:
    """Run a worker as a child process for the length of the block; restart it if it dies."""
    ended = threading.Event()
    keeper = threading.Thread(target=_keep_worker, args=(settings, ended), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


def _keep_worker(settings: Settings, ended: threading.Event) -> None:
    while not ended.is_set():
        with _start_worker(settings) as child:
            while child.poll() is None and not ended.wait(0.1):
                pass
            if child.poll() is None:
                child.terminate()
        if not ended.wait(_RESTART_SECONDS):
            _log.warning("the worker ended; starting another")


def _start_worker(settings: Settings) -> "subprocess.Popen[bytes]":
    # Settings that an option of runserver may have changed.
    given = {"DATA_DIR": str(settings.data_dir), "PROFILE": settings.profile, "LOG_LEVEL": settings.log_level}
    environ = os.environ | given | {"PYTHONPATH": os.pathsep.join(sys.path)}  # a checkout is not installed
    # -P: do not import modules from the current folder.
    command = [sys.executable, "-P", "-m", "vimeo_api", "worker", "--until-stdin-ends"]
    # Its standard input is our pipe: if we die, even by SIGKILL, the worker reads end of file and stops.
    # Its own session: Ctrl-C on the terminal reaches only us, and we stop the worker.
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environ, start_new_session=True)  # noqa: S603


def run_worker(app: Flask, *, until_stdin_ends: bool) -> None:
    """Run worker and beat in this process, on threads."""
    _start_fetchers(app.extensions["celery"])
    celery = init_celery(app, app.config["SETTINGS"])
    add_heartbeats(celery)
    if until_stdin_ends:
        threading.Thread(target=_stop_when_stdin_ends, daemon=True).start()
    EmbeddedService(celery, thread=True, scheduler_cls=celery.conf.beat_scheduler).start()
    broker = Path(urlsplit(celery.conf.broker_url).path.removeprefix("/"))
    signals.task_postrun.connect(lambda **_: _forget_consumed(broker), weak=False)
    options = ["--pool=threads", "--concurrency=4", "--loglevel=WARNING", "--exclude-queues=fetch,notify"]
    options += ["--without-mingle", "--without-gossip", "--without-heartbeat"]
    # Celery warns of root because of pickle; our messages are JSON.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    try:
        celery.worker_main(["--quiet", "worker", *options])
    finally:
        logging.shutdown()
        os._exit(0)  # without waiting for fetches, which may take hours; the next worker resumes them


def _start_fetchers(celery: Celery) -> None:
    """Start the worker of the queues `fetch` and `notify`, with threads of its own: slow origins delay nothing else.

    It ends with the process. A Celery app remembers one choice of queues, so each of the two workers needs its own.
    """
    add_heartbeats(celery)
    worker = celery.WorkController(
        hostname="fetch@localhost",
        queues=["fetch", "notify"],
        pool="threads",
        concurrency=FETCHERS,
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
    )
    threading.Thread(target=worker.start, daemon=True).start()


def _forget_consumed(broker: Path) -> None:
    # kombu's SQLite transport only hides consumed messages, 60 MB a day (docs/decisions/0001). A message that is
    # returned is a new row.
    with closing(sqlite3.connect(broker, timeout=10)) as connection, connection:
        connection.execute("DELETE FROM kombu_message WHERE visible = 0")


def _stop_when_stdin_ends() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
