"""Nothing waits forever: every call to a service has a timeout. The other modules here show it with hanging services.

More timeouts: each probe of /readyz (core/monitoring/readiness.py), an origin's connect, idle and total time
(core/fetching/session.py), and nginx's status (web/monitoring/nginx_status.py). Only workers look up names, within the
resolver's timeout, resolv.conf(5).
"""

import fcntl
import re
from pathlib import Path

import pytest
from celery import signals
from celery.beat import Scheduler
from flask import Flask
from kombu.exceptions import OperationalError

from tests.services import ROOT
from vimeo_api import config, extensions, tasks
from vimeo_api.app import create_app
from vimeo_api.beat import SkippingScheduler
from vimeo_api.core import broker
from vimeo_api.core.breaker import Breaker
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.fetching import claims
from vimeo_api.core.maintenance.sweep import Due
from vimeo_api.core.storage import locks

PRODUCTION = {
    "PROFILE": "production",
    "SECRET_KEY": "x" * 32,
    "SEALING_KEYS": "LS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0=",
    "DATABASE_URL": "postgresql+psycopg:///vimeo_api",
    "BROKER_URL": "redis+socket:///run/broker.sock",
    "CACHE_URL": "unix:///run/cache.sock",
}
SECONDS = {"s": 1, "m": 60, "h": 3600}


def test_the_database_the_cache_and_the_broker_have_their_time(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    settings = config.load(PRODUCTION | {"DATA_DIR": str(tmp_path)})
    app = create_app(settings)
    database = app.config["SQLALCHEMY_ENGINE_OPTIONS"]
    connecting = database["connect_args"]["connect_timeout"]
    assert f"statement_timeout={settings.database_seconds}s" in database["connect_args"]["options"]
    assert settings.database_seconds + extensions.SILENCE_SECONDS + connecting == 15  # what docs/operations.md says
    as_long_as_a_lock = locks.WAIT_SECONDS - extensions.SILENCE_SECONDS - connecting
    with pytest.raises(config.ConfigError):
        config.load(PRODUCTION | {"DATABASE_SECONDS": str(as_long_as_a_lock)})
    assert database["pool_timeout"] <= 5
    (cache,) = app.extensions["cache"].values()
    words = cache._write_client.connection_pool.connection_kwargs  # noqa: SLF001 -- it is not told otherwise
    assert 0 < words["socket_timeout"] <= 0.1
    assert 0 < words["socket_connect_timeout"] <= 0.1
    options = app.extensions["celery"].conf.broker_transport_options
    assert 0 < options["socket_timeout"] <= 0.1
    assert 0 < options["socket_connect_timeout"] <= 0.1


def test_waiting_for_a_lock_times_out(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "lock"
    with locks.held(path):
        pass
    with path.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Unavailable), locks.held(path, seconds=0.05):
            pass
    with locks.held(path):
        pass


def test_nobody_waits_for_a_lock_in_any_other_way() -> None:
    places = [
        f"{path.name}: {line.strip()}"
        for path in (ROOT / "vimeo_api").rglob("*.py")
        for line in path.read_text().splitlines()
        if "LOCK_EX" in line and "LOCK_NB" not in line
    ]
    # Several processes of one developer that start at once wait for the first one's migrations; all processes of a host
    # but one wait, in a thread of their own, to watch the spool.
    assert sorted(place.partition(":")[0] for place in places) == ["server.py", "spool_watch.py"]


def test_beat_asks_while_much_waits_only_for_what_has_no_successor_soon(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Scheduler, "apply_async", lambda _, entry: asked.append(entry.task))
    beat = SkippingScheduler(app.extensions["celery"], lazy=True)
    for room in (0, 1):
        monkeypatch.setattr(broker, "room", lambda *_, room=room: room)
        for entry in app.extensions["celery"].conf.beat_schedule.values():
            beat.apply_async(beat.Entry(**entry, app=beat.app))
    assert sorted(asked) == [tasks.reconcile.name, tasks.reconcile.name, tasks.sweep.name]


def test_a_sweep_that_loses_the_broker_waits_for_it_once(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def lose(**words: object) -> None:
        asked.append(words["args"])
        raise OperationalError("away")

    monkeypatch.setattr(tasks, "_broker", Breaker(seconds=60))
    monkeypatch.setattr(broker, "room", lambda *_: broker.MAX_QUEUED)
    monkeypatch.setattr(tasks, "look", lambda: Due(work=True, count=False))
    monkeypatch.setattr(claims, "revive", lambda limit: list(range(limit)))
    monkeypatch.setattr(tasks.fetch, "apply_async", lose)
    with app.app_context():
        tasks.sweep()
    assert asked == [(0,)]


def test_a_worker_that_starts_follows_the_one_before_however_much_waits(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(broker, "room", lambda *_: 0)
    monkeypatch.setattr(tasks.resume, "apply_async", lambda **words: asked.append(words["args"]))
    assert not tasks.enqueue(tasks.resume)
    signals.worker_ready.send(sender=app)
    assert asked == [()]


def test_nginx_waits_a_minute_for_answers_and_an_hour_only_where_bytes_are_searched() -> None:
    nginx = ROOT / "deploy/nginx"
    site = [nginx / "vimeo_api.conf", *(nginx / "vimeo_api/locations").iterdir()]
    public, answers = "".join(path.read_text() for path in site), (nginx / "vimeo_api/inner_server.conf").read_text()

    def seconds(text: str, directive: str) -> set[int]:
        return {int(number) * SECONDS[unit] for number, unit in re.findall(rf"{directive} (\d+)(\w);", text)}

    assert seconds(public, "uwsgi_read_timeout") == {3600}  # uWSGI's harakiri
    assert seconds(answers, "uwsgi_read_timeout") == {60}
    # Of the second server, which has to speak first, and of another host, to which an upload is passed.
    assert seconds(public, "proxy_read_timeout") == {70, 3600}
