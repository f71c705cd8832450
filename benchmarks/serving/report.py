"""The tables: every goal, then every benchmark with all participants, winners and losers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving import pictures, results
from benchmarks.serving.benchmark import Benchmark
from benchmarks.serving.comparison import Verdict, bound, compared, contestants, judge, places, ratio, value
from benchmarks.serving.results import Record, Result
from benchmarks.serving.server import OURS

HEAD = """# Serving

The service as `make stack` starts it, and others on the same work: all on one machine, in turns, in a new order in each
round. Numbers are medians over the rounds; a ratio is the median of the ratios within a round. The load generator runs
on the same machine, and takes the more of it the faster a server is. So **server CPU**, the time of the server's
processes alone (user and system, ended children included), says more than a rate. Tail latencies are underestimated,
because a client that waits sends nothing else. Made by `make bench`.
"""


@dataclass(frozen=True)
class Column:
    """A number in a table."""

    number: str
    heading: str
    digits: int
    against: str = ""  # heading of the ratio of ours to this one, where there is such a column


SMALL = (
    Column("rate", "requests/s", 0, against="ours is"),
    Column("p50", "p50, ms", 2),
    Column("p99", "p99, ms", 2),
    Column("cpu_ms", "server CPU, ms/request", 3),
    Column("refused", "refused", 0),
    Column("broken", "broken", 0),
)
LARGE = (
    Column("rate", "MiB/s", 0, against="ours is"),
    Column("cpu", "server CPU, s/GiB", 2, against="ours is"),
    Column("grown", "memory grows, MiB", 1),
)
CUT = (
    Column("resent", "KiB again, median", 0),
    Column("resent_most", "KiB again, at most", 0),
    Column("cpu_ms", "server CPU, ms each", 0),
)
SIEGE = (
    Column("requests", "transactions", 0),
    Column("failed", "failed", 0),
    Column("rate", "a second", 0),
    Column("mean", "mean, ms", 0),
    Column("longest", "longest, ms", 0),
    Column("cpu_ms", "server CPU, ms each", 3),
)


def write(folder: Path, name: str, benchmarks: Sequence[Benchmark]) -> str:
    """Write the tables and the pictures of all results that are there, and return the tables."""
    found = [(one, result) for one in benchmarks if (result := results.read(folder / name, one.name))]
    machines = list(dict.fromkeys(result.machine for _, result in found))
    drawn = pictures.draw(folder, name, found)
    lines = [HEAD, *(f"{machine}.\n" for machine in machines), *(f"![{path.stem}]({path.name})\n" for path in drawn)]
    lines += ["## Contestants", "", *_setups([result for _, result in found]), ""]
    lines += ["## Goals", "", "| | | goal | reached |", "|---|---|---|---|"]
    for one, result in found:
        lines += [_goal(one, judge(goal, result.records)) for goal in one.goals]
    for one, result in found:
        lines += ["", f"## {one.title}", "", one.text, "", *(_scaled if one.scale else _table)(one, result)]
        lines += _left_out(result)
    text = "\n".join(lines) + "\n"
    (folder / f"{name}.md").write_text(text)
    return text


def _setups(found: Sequence[Result]) -> list[str]:
    setups = {who: setup for result in found for who, setup in result.setups.items()}
    return [f"- {who} {setup}" for who, setup in setups.items()]


def _goal(one: Benchmark, verdict: Verdict) -> str:
    goal = verdict.goal
    if verdict.value is None:
        reached = "not measured"
    else:
        reached = f"{verdict.value:.2f}" if verdict.met else f"**{verdict.value:.2f}: missed**"
    return f"| {one.title} | {compared(goal)} | {bound(goal)} | {reached} |"


def _table(_: Benchmark, result: Result) -> list[str]:
    records = result.records
    columns = next(
        columns for columns in (LARGE, CUT, SIEGE, SMALL) if all(_numbers(records, column) for column in columns[:2])
    )
    headings = [heading for column in columns for heading in (column.heading, column.against) if heading]
    lines = ["| | " + " | ".join(headings) + " | what it includes |", "|---" * (len(headings) + 2) + "|"]
    for who in contestants(records):
        cells = [cell for column in columns for cell in _cells(records, who, column)]
        name = f"**{who}**" if who.startswith(OURS) else who
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {result.notes.get(who, '')} |")
    return lines


def _numbers(records: Sequence[Record], column: Column) -> bool:
    return any(column.number in record.values for record in records)


def _cells(records: Sequence[Record], who: str, column: Column) -> list[str]:
    found = value(records, who, column.number)
    cells = [f"{found:,.{column.digits}f}" if found is not None else ""]
    if column.against:
        times = ratio(records, column.number, (OURS, None), (who, None)) if who != OURS else None
        cells.append(f"{times:.2f} ×" if times is not None else "")
    return cells


def _scaled(one: Benchmark, result: Result) -> list[str]:
    records, digits = result.records, 2 if one.shown == "p50" else 0
    unit = "p50 (p99), ms" if one.shown == "p50" else "requests/s (p99, ms)"
    found = places(records)
    lines = [f"| {unit} | " + " | ".join(f"{place:,} {one.scale}" for place in found) + " | what it includes |"]
    lines.append("|---" * (len(found) + 2) + "|")
    for who in contestants(records):
        cells = []
        for place in found:
            shown, tail = (value(records, who, number, place) for number in (one.shown, "p99"))
            broken = value(records, who, "broken", place)
            cell = f"{shown:,.{digits}f} ({tail:.2f})" if shown is not None else "failed"
            cells.append(f"{cell}, {broken:.0f} broken" if broken else cell)
        name = f"**{who}**" if who.startswith(OURS) else who
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {result.notes.get(who, '')} |")
    return lines


def _left_out(result: Result) -> list[str]:
    return ["", *(f"Not here: {who}, {why}." for who, why in result.absent.items())] if result.absent else []
