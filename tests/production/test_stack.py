"""The production parts on this machine: started, disturbed and stopped as an operator would."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.production.parts import children, pid_of, stopped
from tests.services import ROOT, Service, await_, running, used_up

MIB = 1024**2


def put(service: Service, content: bytes = b"content", **data: str) -> str:
    answer = requests.put(service.vimeo, files={"file": ("report.xls", content)}, data=data, timeout=60)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["url"])


def get(link: str, **kwargs: object) -> requests.Response:
    return requests.get(link, timeout=60, **kwargs)  # type: ignore[arg-type]


def processes_of(data: Path) -> list[str]:
    """Return the command lines of all processes that have to do with a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environ = (entry / "environ").read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if entry.name != str(os.getpid()) and (str(data) in line or f"DATA_DIR={data}" in environ):
            found.append(line)
    return found


@pytest.mark.parametrize("profile", ["embedded", "production"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_leaves_no_process_behind(profile: str, number: signal.Signals, tmp_path: Path) -> None:
    with running(profile, tmp_path / "data") as service:
        put(service)
        assert processes_of(service.data)
        service.process.send_signal(number)
        service.process.wait(60)
    assert service.process.returncode == 0
    assert processes_of(service.data) == []


@pytest.mark.parametrize("profile", ["embedded", "production"])
def test_even_a_kill_of_its_head_leaves_no_process_behind(profile: str, tmp_path: Path) -> None:
    with running(profile, tmp_path / "data") as service:
        service.process.kill()
        service.process.wait(60)
        await_(lambda: not processes_of(service.data), 60)


def test_two_stacks_run_side_by_side_and_keep_their_files(stack: Service, tmp_path: Path) -> None:
    with running("production", tmp_path / "data") as other:
        mine, theirs = put(stack, b"mine"), put(other, b"theirs")
        assert get(theirs.replace(other.url, stack.url)).status_code == 404
        assert get(mine).content == b"mine"
    with running("production", tmp_path / "data") as again:
        assert get(theirs.replace(other.url, again.url)).content == b"theirs"


def test_an_ordinary_user_can_run_it(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the other tests run as an ordinary user already")
    folder = Path("/var/tmp") / f"vimeo_api-{os.getpid()}"
    folder.mkdir()
    try:
        # `nobody`, with the right to read the checkout wherever root keeps it and no other.
        os.chown(folder, 65534, 65534)
        rights = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
        user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *rights, "--"]
        with running("production", folder / "data", prefix=user) as service:
            assert get(put(service, b"x")).content == b"x"
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


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


def test_nobody_reaches_an_internal_location(stack: Service) -> None:
    put(stack)
    (blob,) = list(stack.stored())[:1]
    relative = blob.relative_to(stack.data / "store")
    for path in (f"/_store/{relative}", f"/_once/{relative}", "/_worded", "/_store/../secret.key", "/vimeo/../_store/"):
        with socket.create_connection(("127.0.0.1", stack.port)) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert client.makefile("rb").readline().split()[1] == b"404", path


def test_a_client_cannot_name_the_body_file(stack: Service, tmp_path: Path) -> None:
    before = stack.stored()
    secret = stack.data / "secret.key"
    headers = {name: str(secret) for name in ("X-Body-File", "X_BODY_FILE", "X-Accel-Redirect", "X-Ticket")}
    headers["Content-Type"] = "multipart/form-data; boundary=x"
    assert requests.put(stack.vimeo, headers=headers, timeout=60).status_code == 400
    assert stack.stored() <= before  # others' files may be removed meanwhile


def test_a_client_sees_nothing_of_how_nginx_is_told(stack: Service) -> None:
    answer = get(put(stack))
    assert not {name.lower() for name in answer.headers} & {"x-accel-redirect", "x-ticket"}


def peak_kib(pids: list[int]) -> int:
    """Return the largest peak of resident memory among processes, in KiB (proc(5), VmHWM)."""
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return max(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


@pytest.mark.parametrize("profile", ["embedded", "production"])
def test_memory_does_not_grow_with_the_file(profile: str, tmp_path: Path) -> None:
    size = 512 * MIB
    big = tmp_path / "big.bin"
    with big.open("wb") as file:
        file.truncate(size)
    with running(profile, tmp_path / "data", VIMEO_MAX_BYTES=str(size)) as service:
        get(put(service))
        head = service.process.pid if profile == "embedded" else pid_of(service, "web")
        pids = [head, *children(head)]
        before = peak_kib(pids)
        upload = ["curl", "-sS", "-X", "PUT", "-F", f"file=@{big}", service.vimeo]
        link = subprocess.run(upload, capture_output=True, text=True, check=True).stdout.split('"')[-2]
        assert link.startswith("http")
        done = subprocess.run(["curl", "-sS", "-o", str(tmp_path / "again"), link], check=True)
        assert done.returncode == 0
        assert (tmp_path / "again").stat().st_size == size
        assert peak_kib(pids) - before < 32 * 1024


def test_no_other_user_reaches_its_sockets(stack: Service) -> None:
    sockets = [path for path in (stack.data / "run").rglob("*") if path.is_socket()]
    assert {"answers.sock", "uwsgi.sock", "redis.sock"} <= {path.name for path in sockets}
    assert (stack.data / "run").stat().st_mode & 0o077 == 0  # so nobody else passes, whatever is written below


@pytest.mark.parametrize("port", ["taken", "abc", "99999"])
def test_it_does_not_start_on_a_port_that_it_cannot_have(tmp_path: Path, port: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        words = str(other.getsockname()[1]) if port == "taken" else port
        environ = os.environ | {"PORT": words, "DATA_DIR": str(tmp_path / "data")}
        command = [sys.executable, "deploy/stack.py"]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("stack: ")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_nginx_says_why_the_service_is_away_but_names_no_link(stack: Service) -> None:
    log = stack.data / "log/error.log"
    with stopped(stack, "web"):
        assert requests.get(f"{stack.url}/healthz", timeout=60).status_code == 503
        assert requests.get(f"{stack.vimeo}/a-secret-link", timeout=60).status_code == 503
    assert "uwsgi.sock failed" in log.read_text()
    assert "a-secret-link" not in log.read_text()
