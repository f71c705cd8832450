"""`benchmarks.serving`: what it measures and how it tells; the measuring itself is `make bench`."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from benchmarks.serving import classic, load, packages, report, results
from benchmarks.serving.benchmark import Benchmark, Contestant, Course, Goal, hold
from benchmarks.serving.comparison import judge, ratio, value
from benchmarks.serving.load import LoadError, Sample
from benchmarks.serving.place import Place
from benchmarks.serving.plan import QUICK, SMALL
from benchmarks.serving.processes import Memory, ServerError, cpu_seconds, running
from benchmarks.serving.results import Record, Result
from benchmarks.serving.server import OURS, Upload
from benchmarks.serving.service import ONCE, STREAMS, Rows
from benchmarks.serving.service import Service as Measured
from tests.services import Service, await_

BURN = "import time\nwhile time.process_time() < 0.3: pass"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.fill(1024**2)
    return place


class Quiet(ThreadingHTTPServer):
    """Minds no client that hangs up, as wrk does at its end."""

    def handle_error(self, request: object, client_address: object) -> None:
        del request, client_address


class Seen(BaseHTTPRequestHandler):
    """Notes what it is asked, and knows nothing but `/there` and what is sent."""

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
        assert 2**24 <= memory.grown() < 2**25  # the child's, but not what was there before
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


def test_refusals_are_no_success(origin: str) -> None:
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
    found = load.get_each(origin, [f"/there/{number}" for number in range(21)], seconds=1, connections=1)
    assert [path for path in seen.paths if path != "/ping"] == [f"/there/{number}" for number in range(1, 21)]
    assert "rate" not in found  # for the list was over before the time was
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


def records(**rates: Sequence[float]) -> list[Record]:
    return [
        Record(who, 0, number, {"rate": rate, "grown": rate})
        for who, of in rates.items()
        for number, rate in enumerate(of)
    ]


def test_a_ratio_is_the_median_of_the_ratios_within_a_round() -> None:
    found = records(ours=[10, 20, 300], theirs=[20, 20, 100])
    assert ratio(found, "rate", ("ours", None), ("theirs", None)) == 1  # and not 20 / 20 by luck: 0.5, 1, 3
    assert ratio(found, "rate", ("ours", None), ("nobody", None)) is None
    assert value(found, "ours", "rate") == 20
    assert value(found, "ours", "grown") == 300  # the worst


def test_growth_compares_the_largest_with_the_smallest() -> None:
    found = [Record(OURS, at, 0, {"p50": p50}) for at, p50 in ((1000, 3.0), (10, 2.0), (100, 9.0))]
    verdict = judge(Goal("p50", 1.2, at_least=False, ends=True), found)
    assert (verdict.value, verdict.met) == (1.5, False)


def contestants(*turns: tuple[str, Sample | None]) -> Benchmark:
    def turn(values: Sample | None) -> Sample:
        if values is None:
            raise LoadError("it hangs up")
        return dict(values)

    def taking_part(_course: Course, _stack: ExitStack) -> list[Contestant]:
        return [Contestant(who, (), partial(turn, values), f"what {who} does") for who, values in turns]

    goals = (Goal("rate", 0.5, to="quick"), Goal("rate", 0.5, to="gone"))
    return Benchmark("race", "A race", "Who is first.", taking_part, lambda _: 3, goals)


def test_who_fails_is_out_and_named_and_who_loses_stays(place: Place) -> None:
    sample = {"p50": 1.0, "p99": 2.0, "requests": 10.0, "refused": 0.0, "broken": 0.0}
    race = contestants((OURS, {"rate": 10.0, **sample}), ("quick", {"rate": 100.0, **sample}), ("gone", None))
    with Course(QUICK, place) as course:
        result = hold(race, course, "a machine")
    assert result.absent == {"gone": "failed: it hangs up"}
    assert [record.who for record in result.records].count(OURS) == 3
    results.write(place.folder / "run", "race", result)
    text = report.write(place.folder, "run", [race])
    assert "| A race | throughput, against quick | ≥ 0.5 × | **0.10: missed** |" in text
    assert "| A race | throughput, against gone | ≥ 0.5 × | not measured |" in text
    assert re.search(r"\| \*\*vimeo_api\*\* \| 10 \|.*\| what vimeo_api does \|", text)
    assert re.search(r"\| quick \| 100 \| 0\.10 × \|", text)
    assert "Not here: gone, failed: it hangs up." in text
    assert {path.name for path in place.folder.glob("run*.png")} == {"run-goals.png", "run-bars.png"}


def test_results_are_kept_one_by_one(tmp_path: Path) -> None:
    one = Result("here", [Record(OURS, 1, 0, {"rate": 1.5})], {"x": "why"}, {OURS: "all"}, {OURS: "so"})
    results.write(tmp_path, "one", one)
    results.write(tmp_path, "other", Result("there", [], {}, {}, {}))
    assert results.read(tmp_path, "one") == one
    assert results.read(tmp_path, "third") is None


def test_the_peers_are_pinned_and_name_no_registry() -> None:
    lock = (packages.ETC / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert '"integrity"' in lock
    pins = (packages.ETC / "requirements.txt").read_text()
    assert "://" not in pins
    assert re.findall(r"^[a-z]\S*", pins, re.MULTILINE) == re.findall(r"^\S+==\S+(?= .*\\$)", pins, re.MULTILINE)


def test_the_classic_app_sends_a_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uploads").mkdir()
    monkeypatch.setenv("CLASSIC_DATABASE_URL", f"sqlite:///{tmp_path}/classic.db")
    monkeypatch.setenv("CLASSIC_ROOT", str(tmp_path))
    app = classic.create_app()
    with app.app_context():
        classic.db.create_all()
    client = app.test_client()
    with (tmp_path / "classic.db").open("rb") as file:
        key = client.put("/classic/file", data={"file": (file, "some.bin")}).json["key"]  # type: ignore[index]
    assert (tmp_path / "uploads" / key).read_bytes()[:6] == b"SQLite"
    for where, statuses in (("read", [200, 200]), ("file", [200, 410])):
        answers = [client.get(f"/classic/{where}/{key}") for _ in statuses]
        assert [answer.status_code for answer in answers] == statuses
        assert answers[0].headers["X-Accel-Redirect"] == f"/_classic/uploads/{key}"
    assert client.get("/classic/file/unknown").status_code == 404


def test_rows_that_are_put_in_are_served_and_used_up(stack: Service, place: Place) -> None:
    measured = Measured(stack.port, stack.data, stack.process.pid)
    first = measured.add_once(place.small)
    keys = measured.copy_once(first, 5)
    assert [requests.get(f"{stack.url}{ONCE}/{key}").text for key in keys] == [place.small.read_text()] * 5
    measured.settle()
    assert {requests.get(f"{stack.url}{ONCE}/{key}").status_code for key in keys} == {410}
    assert not {path for path in stack.stored() if path.name in keys}

    stream, link = measured.add_stream(place.small), measured.add_once(place.small)
    measured.fill(stream, link, 100)
    assert len(measured.some_keys("streams", 1000)) == 51
    once = [key for key in measured.some_keys("vimeo", 1000) if key not in {first, link}]
    assert len(once) == 50
    measured.link_once(link, once)
    assert len(requests.get(f"{stack.url}{ONCE}/{once[0]}").content) == SMALL


def test_clearing_removes_what_came_later_and_no_more(stack: Service, place: Place) -> None:
    measured = Measured(stack.port, stack.data, stack.process.pid)
    old = measured.add_stream(place.small)
    uploads = Rows(measured, int(measured.query("SELECT max(id) FROM files")))
    before = stack.stored()
    new, *copies = measured.add_stream(place.small), *measured.copy_stream(old, 3)
    assert uploads.size() == SMALL
    uploads.clear()
    assert uploads.size() == 0
    assert stack.stored() == before
    statuses = [requests.get(f"{stack.url}{STREAMS}/{key}").status_code for key in (old, new, *copies)]
    assert statuses == [200, 404, 404, 404, 404]
