"""The production parts on this machine: started, disturbed and stopped as by an operator."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.object_stores import refusing
from tests.production.parts import children, pid_of, unreachable
from tests.services import LARGE, ROOT, Service, await_, free_port, killed, processes_of, running, used_up

MIB = 1024**2
NOBODY = 65534  # the user that owns nothing


def put(service: Service, content: bytes = b"content", **data: str) -> str:
    answer = requests.put(service.vimeo, files={"file": ("report.xls", content)}, data=data, timeout=60)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["url"])


def get(link: str, **kwargs: object) -> requests.Response:
    return requests.get(link, timeout=60, **kwargs)  # type: ignore[arg-type]


def ended_by(service: Service, number: signal.Signals) -> bool:
    """End a service by a signal; return whether it ends well and leaves no process behind."""
    assert processes_of(service.data)
    service.process.send_signal(number)
    service.process.wait(60)
    return service.process.returncode == 0 and processes_of(service.data) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_embedded_service_leaves_no_process_behind(number: signal.Signals, tmp_path: Path) -> None:
    with running("embedded", tmp_path / "data") as service:
        put(service)
        assert ended_by(service, number)


def test_even_a_kill_of_the_embedded_service_leaves_no_process_behind(tmp_path: Path) -> None:
    with running("embedded", tmp_path / "data") as service:
        killed(service)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of `nobody`, if the tests run as root; otherwise they are run by an ordinary user anyway."""
    folder = Path("/var/tmp") / f"vimeo_api-{os.getpid()}"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_stacks_of_two_users_run_side_by_side_and_leave_no_process_behind(stack: Service, home: Path) -> None:
    # `nobody` may read the checkout wherever root keeps it, and has no other right.
    rights = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    user = ["setpriv", "--reuid", f"{NOBODY}", "--regid", f"{NOBODY}", "--clear-groups", *rights, "--"]
    prefix = user if os.geteuid() == 0 else []
    with running("production", home / "data", prefix=prefix) as other:
        mine, theirs = put(stack, b"mine"), put(other, b"theirs")
        assert get(theirs.replace(other.url, stack.url)).status_code == 404
        assert get(mine).content == b"mine"
        assert get(theirs).content == b"theirs"
        assert ended_by(other, signal.SIGTERM)


def test_the_journal_can_be_rotated_at_any_time(stack: Service) -> None:
    log = stack.data / "journal/deliveries.log"
    for number in range(6):
        link = put(stack, bytes(2 * MIB))
        with get(link, stream=True) as running_download:
            log.rename(log.with_name(f"deliveries.log.{number}"))
            if number % 2:
                os.kill(pid_of(stack, "nginx"), signal.SIGUSR1)  # nginx -s reopen
            assert len(running_download.content) == 2 * MIB
        if not number % 2:
            os.kill(pid_of(stack, "nginx"), signal.SIGUSR1)
        assert used_up(link)
        await_(log.exists)


def test_no_client_reaches_an_internal_location(stack: Service) -> None:
    put(stack)
    (blob,) = list(stack.stored())[:1]
    relative = blob.relative_to(stack.data / "store")
    for path in (f"/_store/{relative}", f"/_once/{relative}", "/_worded", "/_store/../secret.key", "/vimeo/../_store/"):
        with socket.create_connection(("127.0.0.1", stack.port)) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert client.makefile("rb").readline().split()[1] in {b"400", b"404"}, path


def test_a_client_cannot_name_the_body_file(stack: Service, tmp_path: Path) -> None:
    before = stack.stored()
    secret = stack.data / "secret.key"
    headers = {name: str(secret) for name in ("X-Body-File", "X_BODY_FILE", "X-Accel-Redirect", "X-Ticket")}
    headers["Content-Type"] = "multipart/form-data; boundary=x"
    assert requests.put(stack.vimeo, headers=headers, timeout=60).status_code == 400
    assert stack.stored() <= before  # others' files may be removed meanwhile


def test_clients_never_see_our_headers_for_nginx(stack: Service) -> None:
    answer = get(put(stack))
    assert not {name.lower() for name in answer.headers} & {"x-accel-redirect", "x-ticket"}


def peak_kib(pids: list[int]) -> int:
    """Return the largest peak of resident memory among processes, in KiB (proc(5), VmHWM)."""
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return max(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def test_memory_does_not_grow_with_the_file(fetcher: Service, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    with big.open("wb") as file:
        file.truncate(LARGE)
    get(put(fetcher))
    head = fetcher.process.pid if fetcher.profile == "embedded" else pid_of(fetcher, "web")
    pids = [head, *children(head)]
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget earlier peaks, proc(5)
    before = peak_kib(pids)
    upload = ["curl", "-sS", "-X", "PUT", "-F", f"file=@{big}", fetcher.vimeo]
    link = json.loads(subprocess.run(upload, capture_output=True, text=True, check=True).stdout)["url"]
    subprocess.run(["curl", "-sS", "-o", str(tmp_path / "again"), link], check=True)
    assert (tmp_path / "again").stat().st_size == LARGE
    assert peak_kib(pids) - before < LARGE / 1024 / 4


def test_no_other_user_reaches_its_sockets(stack: Service) -> None:
    sockets = [path for path in (stack.data / "run").rglob("*") if path.is_socket()]
    assert {"bytes.sock", "inner.sock", "uwsgi.sock", "redis.sock"} <= {path.name for path in sockets}
    assert (stack.data / "run").stat().st_mode & 0o077 == 0  # so no other user gets in, whatever is written below


@pytest.mark.parametrize("setting", ["BIND", "PORT"])
def test_it_does_not_start_where_it_cannot_listen(tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = {"BIND": "127.0.0.1", "PORT": str(other.getsockname()[1])}
        if setting == "BIND":
            place["BIND"] = "192.0.2.1"  # no host has it: RFC 5737
        for command in (["deploy/stack.py"], ["manage.py", "runserver"]):
            environ = os.environ | place | {"DATA_DIR": str(tmp_path / "data")}
            start = [sys.executable, *command]
            done = subprocess.run(start, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 1
            assert done.stderr.startswith(("stack: ", "Error: "))
            assert f"{setting}={place[setting]}" in done.stderr
            assert "Traceback" not in done.stderr


def test_it_does_not_start_with_an_object_store_that_refuses_it(tmp_path: Path) -> None:
    with refusing(status=404, code="NoSuchBucket") as endpoint:
        wrong = {"STORE_URL": "s3://files", "STORE_ENDPOINT": endpoint, "PORT": str(free_port())}
        key = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
        environ = os.environ | wrong | key | {"DATA_DIR": str(tmp_path / "data")}
        start = [sys.executable, "deploy/stack.py"]
        done = subprocess.run(start, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, f"stack: STORE_URL: there is no bucket files at {endpoint}.\n")


def test_nginx_says_why_the_service_is_away_but_names_no_link(stack: Service) -> None:
    log = stack.data / "log/error.log"
    with unreachable(stack):
        assert requests.get(f"{stack.url}/healthz", timeout=60).status_code == 503
        assert requests.get(f"{stack.vimeo}/a-secret-link", timeout=60).status_code == 503
    assert "uwsgi.sock failed" in log.read_text()
    assert "a-secret-link" not in log.read_text()


def test_no_worker_of_nginx_waits_in_accept(stack: Service) -> None:
    """Such a worker answers nobody. Several race for each connection, and the listening socket must not block."""
    sockets = {line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines() if listens(line, stack.port)}
    found = 0
    for worker in children(pid_of(stack, "nginx")):
        for descriptor in Path(f"/proc/{worker}/fd").iterdir():
            with suppress(FileNotFoundError):  # a connection that ends meanwhile
                if str(descriptor.readlink()).removeprefix("socket:[").rstrip("]") in sockets:
                    facts = Path(f"/proc/{worker}/fdinfo/{descriptor.name}").read_text()
                    assert int(facts.split("flags:")[1].split()[0], 8) & os.O_NONBLOCK
                    found += 1
    assert found


def listens(line: str, port: int) -> bool:
    """Return whether a line of /proc/net/tcp is about a socket that listens on a port, proc(5)."""
    words = line.split()
    return words[3] == "0A" and words[1].endswith(f":{port:04X}")
