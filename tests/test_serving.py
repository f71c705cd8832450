"""`benchmarks.serving`: what it measures and how it reports; `make bench` does the measuring."""

import importlib
import re
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import requests

from benchmarks.fleet import work
from benchmarks.serving import classic, packages, results
from benchmarks.serving.benchmark import Benchmark, Contestant, Course, Goal, hold
from benchmarks.serving.comparison import judge, ratio, value
from benchmarks.serving.load import LoadError, Sample
from benchmarks.serving.parts import parts_of
from benchmarks.serving.place import Place
from benchmarks.serving.plan import QUICK, SMALL
from benchmarks.serving.results import Record, Result
from benchmarks.serving.server import OURS
from benchmarks.serving.service import ONCE, STREAMS, Rows
from benchmarks.serving.service import Service as Measured
from tests.services import Service

MANY = 1_000_000  # keys: all that there are


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.fill(1024**2)
    return place


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


def test_a_contestant_that_fails_is_out_and_named_and_one_that_loses_stays(place: Place) -> None:
    sample = {"p50": 1.0, "p99": 2.0, "requests": 10.0, "refused": 0.0, "broken": 0.0}
    race = contestants((OURS, {"rate": 10.0, **sample}), ("quick", {"rate": 100.0, **sample}), ("gone", None))
    with Course(QUICK, place) as course:
        result = hold(race, course, "a machine")
    assert result.absent == {"gone": "failed: it hangs up"}
    assert [record.who for record in result.records].count(OURS) == 3
    results.write(place.folder / "run", "race", result)
    report = importlib.import_module("benchmarks.serving.report")  # draws by matplotlib, a second to import
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


def test_the_costs_of_several_rounds_are_medians_of_each_part() -> None:
    rounds = [{"PUT": {"nginx": nginx, "app": 1.0}} for nginx in (3.0, 1.0, 9.0)]
    assert work.medians(rounds) == {"PUT": {"nginx": 3.0, "app": 1.0}}


def test_supervisord_says_which_process_is_which_part(stack: Service) -> None:
    cpu = parts_of([stack.data]).cpu()
    assert set(cpu) == {"nginx", "app", "workers", "PostgreSQL", "broker", "cache"}
    assert cpu["app"] > 0


def test_inserted_rows_are_served_and_used_up(stack: Service, place: Place) -> None:
    measured = Measured(stack.port, stack.data, stack.process.pid)
    last = int(measured.query("SELECT coalesce(max(id), 0) FROM files"))
    first = measured.add_once(place.small)
    keys = measured.copy_once(first, 5)
    assert [requests.get(f"{stack.url}{ONCE}/{key}").text for key in keys] == [place.small.read_text()] * 5
    measured.settle(after=last)  # other tests leave leases behind
    assert {requests.get(f"{stack.url}{ONCE}/{key}").status_code for key in keys} == {410}
    assert not {path for path in stack.stored() if path.name in keys}

    stream, link = measured.add_stream(place.small), measured.add_once(place.small)
    before = {surface: {*measured.some_keys(surface, MANY)} for surface in ("streams", "vimeo")}
    measured.fill(stream, link, 100)
    streams, once = ({*measured.some_keys(surface, MANY)} - before[surface] for surface in before)
    assert (len(streams), len(once)) == (50, 50)
    measured.link_once(link, [*once])
    assert len(requests.get(f"{stack.url}{ONCE}/{once.pop()}").content) == SMALL


def test_clearing_removes_only_what_came_later(stack: Service, place: Place) -> None:
    measured = Measured(stack.port, stack.data, stack.process.pid)
    old = measured.add_stream(place.small)
    uploads = Rows(measured, int(measured.query("SELECT max(id) FROM files")))
    before = stack.stored()
    new, *copies = measured.add_stream(place.small), *measured.copy_stream(old, 3)
    assert uploads.size() == SMALL
    uploads.clear()
    assert uploads.size() == 0
    assert stack.stored() <= before  # what other tests used up may go meanwhile
    statuses = [requests.get(f"{stack.url}{STREAMS}/{key}").status_code for key in (old, new, *copies)]
    assert statuses == [200, 404, 404, 404, 404]
