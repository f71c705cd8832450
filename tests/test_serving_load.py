"""`benchmarks.serving`: the servers that it runs, their CPU time and memory, and the requests that it sends."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.serving import load
from benchmarks.serving.load import LoadError
from benchmarks.serving.processes import Memory, ServerError, cpu_seconds, running
from benchmarks.serving.server import Upload
from tests.services import await_

pytestmark = pytest.mark.slow

BURN = "import time\nwhile time.process_time() < 0.3: pass"


class Quiet(ThreadingHTTPServer):
    """Ignores clients that hang up, as wrk does at its end."""

    def handle_error(self, request: object, client_address: object) -> None:
        del request, client_address


class Seen(BaseHTTPRequestHandler):
    """Records its requests; only `/there` and uploaded files exist."""

    protocol_version = "HTTP/1.1"
    paths: list[str]
    bodies: list[tuple[str | None, bytes]]

    def do_GET(self) -> None:
        self.paths.append(self.path)
        self._answer(200 if self.path.startswith("/there") else 404)

    def do_PUT(self) -> None:
        self.paths.append(self.path)
        self.bodies.append((self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer(201)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args


@pytest.fixture
def seen() -> type[Seen]:
    class Handler(Seen):
        paths: list[str] = []  # noqa: RUF012
        bodies: list[tuple[str | None, bytes]] = []  # noqa: RUF012

    return Handler


@pytest.fixture
def origin(seen: type[Seen]) -> Iterator[str]:
    server = Quiet(("127.0.0.1", 0), seen)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_cpu_time_includes_children_that_have_ended(tmp_path: Path) -> None:
    done = tmp_path / "done"
    script = f"import subprocess, sys, pathlib\nsubprocess.run([sys.executable, '-c', {BURN!r}])\n"
    script += f"pathlib.Path({str(done)!r}).touch()\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as process:
        await_(done.exists)
        assert cpu_seconds([process.pid]) >= 0.3
        process.communicate()


def test_memory_is_the_growth_of_all_processes_from_now_on(tmp_path: Path) -> None:
    grown = tmp_path / "grown"
    script = "import sys, pathlib, subprocess\nkept = b'x' * 2**25\nprint(flush=True)\nsys.stdin.readline()\n"
    child = f"import pathlib\nx = b'x' * 2**24\npathlib.Path({str(grown)!r}).touch()\nimport sys; sys.stdin.read()"
    script += f"subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        memory = Memory([process.pid])
        process.stdin.write(b"\n")
        process.stdin.flush()
        await_(grown.exists)
        assert 2**24 <= memory.grown() < 2**25  # the child's memory, without what was there before
        assert memory.peak() > 2**25 + 2**24
        process.communicate()


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no port left')"]
    server = running(command, log=tmp_path / "broken.log", ready=lambda: False)
    with pytest.raises(ServerError, match="broken did not start: no port left"), server:
        pass


def test_nothing_is_left_of_a_server(tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f"sleep 600 & echo $! > {child}.new; mv {child}.new {child}; wait"
    with running(["sh", "-c", script], log=tmp_path / "server.log", ready=child.exists):
        pid = int(child.read_text())
        assert Path(f"/proc/{pid}").exists()
    await_(lambda: not Path(f"/proc/{pid}").exists())


def test_a_refusal_is_not_a_success(origin: str) -> None:
    there, nowhere = (
        partial(load.get, seconds=1, connections=2),
        partial(load.get_refused, seconds=1, connections=2, headers={}),
    )
    for found in (there(f"{origin}/there"), nowhere(f"{origin}/nowhere")):
        assert (found["refused"], found["broken"]) == (0, 0)
        assert 0 < found["p50"] <= found["p99"]
    with pytest.raises(LoadError, match="answers are refusals"):
        there(f"{origin}/nowhere")
    with pytest.raises(LoadError, match="is there"):
        nowhere(f"{origin}/there")


def test_random_ids_never_come_twice(origin: str, seen: type[Seen]) -> None:
    load.get_refused(f"{origin}/v1/{{uuid}}", seconds=1, connections=2, headers={})
    assert len(set(seen.paths)) == len(seen.paths) > 1
    assert all(
        re.fullmatch(r"/v1/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}", x) for x in seen.paths
    )


def test_listed_paths_are_asked_for_once_each(origin: str, seen: type[Seen]) -> None:
    found = load.get_each(origin, [f"/there/{number}" for number in range(21)], seconds=3, connections=1)
    assert [path for path in seen.paths if path != "/ping"] == [f"/there/{number}" for number in range(1, 21)]
    assert "rate" not in found  # the list ended before the time did
    many = load.get_each(origin, [f"/there/{number}" for number in range(10**5)], seconds=1, connections=1)
    assert many["rate"] > 0


def test_bodies_have_the_size_that_was_asked_for(origin: str, seen: type[Seen]) -> None:
    load.put(origin, Upload("PUT", "/{name}", ""), 4096, seconds=1, connections=1)
    assert {len(body) for _, body in seen.bodies} == {4096}
    assert len(set(seen.paths)) == len(seen.paths)
    seen.bodies.clear()
    load.put(origin, Upload("PUT", "/form", "", part="file"), 4096, seconds=1, connections=1)
    kind, body = seen.bodies[-1]
    assert kind == f"multipart/form-data; boundary={load.BOUNDARY}"
    head, _, rest = body.partition(b"\r\n\r\n")
    assert b'name="file"; filename="file.txt"' in head
    assert rest == b"0123456789abcde\n" * 256 + f"\r\n--{load.BOUNDARY}--\r\n".encode()
