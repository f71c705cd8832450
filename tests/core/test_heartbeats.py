"""What heartbeats say about beat and the workers: of any host for the service, of this one for a container."""

import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from vimeo_api.core.errors import Unavailable
from vimeo_api.core.monitoring import heartbeats
from vimeo_api.core.monitoring.heartbeat_step import HeartbeatStep
from vimeo_api.core.monitoring.heartbeats import Heart

HOST = socket.gethostname()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "heartbeats"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock; a test changes its only element."""
    moment = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    return moment


def silent(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def trouble(folder: Path, *parts: str) -> str:
    with pytest.raises(Unavailable) as raised:
        heartbeats.check(folder, parts)
    return str(raised.value)


def test_it_says_which_parts_have_never_started(folder: Path) -> None:
    assert trouble(folder, "beat", "fetch") == "beat: not started yet; fetch: not started yet"


def test_a_start_does_not_count_as_a_heartbeat(folder: Path, clock: list[float]) -> None:
    heart = Heart(folder, "fetch")
    heart.beat()
    assert trouble(folder, "fetch") == "fetch: no heartbeat since its start"
    clock[0] += heartbeats.INTERVAL
    heart.beat()
    heartbeats.check(folder, ["fetch"])
    heartbeats.check_host(folder)


def test_it_keeps_the_last_heartbeat_through_a_restart(folder: Path, clock: list[float]) -> None:
    Heart(folder, "fetch")
    path = folder / f"fetch@{HOST}"
    silent(path, 20)
    Heart(folder, "fetch")
    heartbeats.check(folder, ["fetch"])
    silent(path, 70)
    Heart(folder, "fetch")
    assert trouble(folder, "fetch") == "fetch: no heartbeat for 70 s"


def test_it_reports_a_part_that_starts_again_and_again(folder: Path, clock: list[float]) -> None:
    for _ in range(heartbeats.MAX_STARTS + 2):
        heart = Heart(folder, "place")
        clock[0] += heartbeats.INTERVAL
        heart.beat()
    assert trouble(folder, "place") == "place: started 4 times within 300 s"
    path = folder / f"place@{HOST}"
    path.write_text("".join(f"{time.time() - heartbeats.START_WINDOW - number}\n" for number in range(9)))
    heartbeats.check(folder, ["place"])


def test_one_working_worker_is_enough_for_the_service_but_not_for_another_host(
    folder: Path, clock: list[float]
) -> None:
    Heart(folder, "fetch")
    (folder / "fetch@elsewhere").touch()
    heartbeats.check(folder, ["fetch"])
    with pytest.raises(Unavailable, match="no heartbeat since its start"):
        heartbeats.check_host(folder)


def test_a_lost_connection_to_the_broker_is_no_start(folder: Path) -> None:
    app = SimpleNamespace(
        conf=SimpleNamespace(heartbeats_dir=folder),
        amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=["delete", "maintenance"])),
    )
    timer = SimpleNamespace(call_repeatedly=lambda _seconds, call: SimpleNamespace(call=call, cancel=lambda: None))
    consumer = SimpleNamespace(app=app, timer=timer)
    step = HeartbeatStep(consumer)
    for _ in range(heartbeats.MAX_STARTS + 2):
        step.start(consumer)
        step.stop(consumer)
    assert {path.name: len(path.read_text().splitlines()) for path in folder.iterdir()} == {
        f"delete@{HOST}": 1,
        f"maintenance@{HOST}": 1,
    }


def test_it_forgets_hosts_that_are_gone(folder: Path) -> None:
    folder.mkdir()
    gone, other = folder / "fetch@gone", folder / "fetch@other"
    gone.touch()
    other.touch()
    silent(gone, 100_000)
    Heart(folder, "fetch")
    assert {path.name for path in folder.iterdir()} == {"fetch@other", f"fetch@{HOST}"}


def test_a_worker_runs_even_if_it_cannot_write_heartbeats(folder: Path, clock: list[float]) -> None:
    folder.write_text("not a folder")
    heart = Heart(folder, "fetch")
    clock[0] += heartbeats.INTERVAL
    heart.beat()
    assert "not started yet" in trouble(folder, "fetch")
    folder.unlink()
    folder.mkdir()
    clock[0] += heartbeats.INTERVAL
    heart.beat()
    heartbeats.check(folder, ["fetch"])
