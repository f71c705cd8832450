"""The production stack under clients that stall, and with a second front of nginx and uWSGI on the same folder."""

import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from tests.production.parts import environ_of, pid_of
from tests.services import Service, await_, free_port, used_up


def test_stalled_clients_block_nobody(stack: Service) -> None:
    heads = [
        b"POST /v1/streams HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc",
        b"PUT /vimeo/api/v1.0/file HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n--x",
        b"POST /v1/streams HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc",
        b"GET /v1/str",
    ]
    with ExitStack() as clients:
        for number in range(100):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", stack.port)))
            client.sendall(heads[number % len(heads)])
        for _ in range(30):  # each long before nginx gives up on those that stall, which is after a minute
            content = random.randbytes(10_000)
            key = requests.post(f"{stack.url}/v1/streams", data=content, timeout=30).json()["id"]
            assert requests.get(f"{stack.url}/v1/streams/{key}", timeout=30).content == content
    await_(lambda: not stack.spooled())


def as_user_of(pid: int) -> list[str]:
    """Return what runs a command as the user of a process, who may be another one only where we are root."""
    owner = Path(f"/proc/{pid}").stat().st_uid
    if owner == os.geteuid():
        return []
    rights = ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    return ["setpriv", "--reuid", str(owner), "--regid", str(owner), "--clear-groups", *rights, "--"]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def second_front(stack: Service, folder: Path) -> Iterator[str]:
    """Run another nginx and uWSGI on the folder, the database and the Redis of a stack."""
    port, run = free_port(), str(stack.data / "run")
    (folder / "nginx").mkdir()
    configs = shutil.copytree(stack.data / "etc", folder / "etc")
    for path in configs.rglob("*.*"):
        if path.is_file():
            text = path.read_text().replace(f"{run}/", f"{folder}/").replace(str(stack.data / "etc"), str(configs))
            path.write_text(text.replace(f"listen 127.0.0.1:{stack.port} ", f"listen 127.0.0.1:{port} "))
    environ = environ_of(stack, "web")
    commands = [
        [f"{sys.prefix}/bin/uwsgi", "--ini", str(configs / "uwsgi/vimeo_api.ini")],
        ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(configs / "nginx/nginx.conf")],
    ]
    prefix = as_user_of(pid_of(stack, "web"))
    started = [subprocess.Popen([*prefix, *command], env=environ, stderr=subprocess.DEVNULL) for command in commands]
    try:
        await_((folder / "uwsgi.sock").exists, 60)
        await_(lambda: listens(port), 60)
        yield f"http://127.0.0.1:{port}"
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)


def test_two_fronts_share_one_folder_and_one_database(stack: Service, tmp_path: Path) -> None:
    with second_front(stack, tmp_path) as other:
        key = requests.post(f"{stack.url}/v1/streams", data=b"shared", timeout=60).json()["id"]
        for _ in range(3):
            assert requests.get(f"{other}/v1/streams/{key}", timeout=60).content == b"shared"
        assert requests.delete(f"{other}/v1/streams/{key}", timeout=60).status_code == 200
        assert requests.get(f"{stack.url}/v1/streams/{key}", timeout=60).status_code == 404
        link = requests.put(stack.vimeo, files={"file": ("a", b"once")}, timeout=60).json()["url"]
        assert requests.get(link.replace(stack.url, other), timeout=60).content == b"once"
        assert used_up(link)
