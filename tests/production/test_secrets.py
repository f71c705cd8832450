"""No secret gets into a log, into Redis or into nginx's caches: the tests put marked secrets wherever a client can.

They do not search what must contain secrets: the database, whose rows have the URLs of fetches, the journal, whose
lines have resume tokens, and the files of secrets.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.origin import Origin, serving
from tests.production.parts import children, frozen, pid_of, stopped, unreachable
from tests.production.secret_places import Marks, everything_in, tell_everything, tell_fetches, tell_requests, written
from tests.services import ROOT, Service, await_, running

REDIS = ("redis-broker", "redis-cache")
RENAME = "ALTER TABLE files RENAME COLUMN {} TO {}"
LEAST_LOGGED = 10_000  # bytes; less would not be the logs


@pytest.fixture(scope="module", params=["embedded", "production"])
def disturbed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Marks]]:
    """The service after it got secrets everywhere, in normal operation and while parts were killed."""
    marks = Marks()
    settings = {"LOG_LEVEL": "DEBUG", "FETCH_URLS": "1", "FETCH_ALLOW_PRIVATE": "1", "FETCH_WAIT_SECONDS": "1"}
    settings |= {"PASSWORD_LIMIT_ADDRESS": "off"}  # so that the right password is asked for as well
    data = tmp_path_factory.mktemp("secrets") / "data"
    with serving() as origin, running(request.param, data, **settings) as service:
        tell_everything(service, marks, origin)
        if service.profile == "production":
            for disturb in DISTURBANCES:
                disturb(service, marks, origin)
            await_(lambda: requests.get(f"{service.url}/readyz", timeout=60).ok, 60)
            tell_requests(service, marks)
        yield service, marks


def without_the_service(service: Service, marks: Marks, _: Origin) -> None:
    with unreachable(service):
        tell_requests(service, marks)


def while_its_processes_are_killed(service: Service, marks: Marks, _: Origin) -> None:
    for child in children(pid_of(service, "web")):
        os.kill(child, signal.SIGSTOP)  # so that it dies with a request in its hands
        with contextlib.suppress(requests.RequestException):
            requests.get(f"{service.vimeo}/x", params={"password": marks("killed")}, timeout=0.2)
        os.kill(child, signal.SIGKILL)
    await_(lambda: requests.get(f"{service.url}/healthz", timeout=60).ok, 60)


def without_the_database(service: Service, marks: Marks, origin: Origin) -> None:
    with stopped(service, "postgres"):
        tell_requests(service, marks)
        tell_fetches(service, marks, origin)


def without_redis(service: Service, marks: Marks, origin: Origin) -> None:
    for part in REDIS:
        for how in (stopped, frozen):
            with how(service, part):
                tell_requests(service, marks)
                tell_fetches(service, marks, origin)


def with_rows_that_are_there_already(service: Service, marks: Marks, _: Origin) -> None:
    # What is there already is left alone without an error, and what PostgreSQL refuses it would quote.
    link = requests.put(service.vimeo, files={"file": ("a.txt", b"content")}, timeout=60).json()["url"]
    resume_token = requests.get(link, headers={"Range": "bytes=0-3"}, timeout=60).headers["X-Download-Grant"]
    marks.note(resume_token)
    journal = service.data / "journal/deliveries.log"
    line = await_(
        lambda: [line for line in journal.read_bytes().splitlines(keepends=True) if resume_token.encode() in line]
    )
    with journal.open("ab") as file:
        file.write(line[0])
    name = "of-a-row.txt"
    form = {"file": (name, b"content")}
    answers = [requests.post(f"{service.url}/upload", files=form, allow_redirects=False, timeout=60) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [302, 409]
    assert "duplicate key" not in (service.data / "log/postgres.log").read_text()
    with pytest.raises(subprocess.CalledProcessError):
        sql(service, "UPDATE files SET surface = 'named', key = (SELECT max(key) FROM files WHERE surface = 'named')")
    await_(lambda: "duplicate key" in (service.data / "log/postgres.log").read_text())
    assert name not in (service.data / "log/postgres.log").read_text()


def with_a_table_that_lacks_columns(service: Service, marks: Marks, origin: Origin) -> None:
    # Errors of statements that carry all that a row may hold, in the service and in the workers.
    sql(service, RENAME.format("received", "away"))
    tell_requests(service, marks)
    tell_fetches(service, marks, origin)
    sql(service, RENAME.format("away", "received"))
    sql(service, RENAME.format("due_at", "away"))
    await_(lambda: "UndefinedColumn" in (service.data / "log/worker.log").read_text(), 60)
    sql(service, RENAME.format("away", "due_at"))


def sql(service: Service, statement: str) -> None:
    command = ["psql", "-h", str(service.data / "run"), "-U", "vimeo_api", "-qc", statement, "vimeo_api"]
    programs = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": programs})


DISTURBANCES: tuple[Callable[[Service, Marks, Origin], None], ...] = (
    without_the_service,
    while_its_processes_are_killed,
    without_the_database,
    without_redis,
    with_rows_that_are_there_already,
    with_a_table_that_lacks_columns,
)


def test_no_secret_is_in_a_log(disturbed: tuple[Service, Marks]) -> None:
    service, marks = disturbed
    logs = {"output": service.data.with_name("data.out").read_bytes(), **written(service.data / "log")}
    assert sum(map(len, logs.values())) > LEAST_LOGGED
    assert marks.found(logs) == {}
    keys = [(service.data / name).read_bytes().strip() for name in ("secret.key", "sealing.keys")]
    assert not [where for where, text in logs.items() for key in keys if key in text]


def test_no_secret_is_in_a_cache(disturbed: tuple[Service, Marks]) -> None:
    service, marks = disturbed
    if service.profile == "production":
        kept = written(service.data / "run", service.data / "redis")
        assert any("/nginx/files/" in path for path in kept)
        assert any("aof" in path for path in kept)
        kept |= {name: everything_in(service, name) for name in REDIS}
        assert kept["redis-cache"]
    else:
        kept = written(service.data / "cache")
        assert kept
        kept["broker"] = (service.data / "broker.db").read_bytes()
    assert marks.found(kept) == {}


@pytest.mark.parametrize("command", [["manage.py", "db", "upgrade"], ["-c", "import vimeo_api.wsgi"]])
def test_no_password_of_a_service_is_in_a_traceback(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    mark = Marks()("service")
    environ = {
        **os.environ,
        "PROFILE": "production",
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": mark,
        "SEALING_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        "DATABASE_URL": f"postgresql+psycopg://user:{mark}@127.0.0.1:1/x",
        "BROKER_URL": f"redis://:{mark}@127.0.0.1:1/0",
        "CACHE_URL": f"redis://:{mark}@127.0.0.1:2/0",
        "LOG_LEVEL": "DEBUG",
    }
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == ("db" in command)
    assert mark not in done.stdout + done.stderr


@pytest.mark.parametrize("role", [["worker", "-Q", "delete"], ["beat", "--pidfile="]])
def test_the_password_of_the_broker_is_in_no_banner(role: list[str], tmp_path: Path) -> None:
    mark, log = Marks()("broker"), tmp_path / "out"
    environ = {**os.environ, "DATA_DIR": str(tmp_path), "BROKER_URL": f"redis://:{mark}@127.0.0.1:1/0"}
    command = [f"{sys.prefix}/bin/celery", "-A", "vimeo_api.worker", *role]
    with log.open("wb") as out, subprocess.Popen(command, cwd=ROOT, env=environ, stdout=out, stderr=out) as process:
        await_(lambda: b"127.0.0.1:1" in log.read_bytes(), 60)
        process.kill()
    assert mark.encode() not in log.read_bytes()
