"""The pictures: every goal as a bar, every benchmark as bars, growth as lines."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.picture import GREY, INK
from benchmarks.serving.benchmark import Benchmark
from benchmarks.serving.comparison import Verdict, bound, compared, contestants, judge, places, value
from benchmarks.serving.results import Result
from benchmarks.serving.server import OURS

mpl.use("Agg")

BLUE, LIGHT_BLUE, AMBER = "#2166ac", "#67a9cf", "#b7791f"
LINES = ("#757575", "#b7791f", "#7b3294", "#1b7837", "#c51b7d")
COLUMNS = 3
REACH = 10.0  # bars of goals end here
UNITS = {
    "rate": "a second, longer is quicker",
    "cpu": "server CPU, s/GiB, shorter is better",
    "resent": "KiB to be sent again",
}

Found = Sequence[tuple[Benchmark, Result]]


def draw(folder: Path, name: str, found: Found) -> list[Path]:
    """Draw all results, and return the files."""
    drawn = []
    judged = [(one, judge(goal, result.records)) for one, result in found for goal in one.goals if goal.bound]
    if measured := [(one, verdict) for one, verdict in judged if verdict.value]:
        drawn.append(_goals(folder / f"{name}-goals.png", measured))
    if compared := [(one, result) for one, result in found if not one.scale and len(contestants(result.records)) > 1]:
        drawn.append(_bars(folder / f"{name}-bars.png", compared))
    if scaled := [(one, result) for one, result in found if one.scale]:
        drawn.append(_growth(folder / f"{name}-growth.png", scaled))
    return drawn


def _goals(path: Path, judged: Sequence[tuple[Benchmark, Verdict]]) -> Path:
    figure, axes = plt.subplots(figsize=(12, 1.2 + 0.36 * len(judged)), layout="constrained")
    for row, (_, verdict) in enumerate(judged):
        goal, reached = verdict.goal, verdict.value or 0
        length = min(REACH, reached / goal.bound if goal.at_least else goal.bound / reached)
        axes.barh(row, length, 0.7, color=BLUE if verdict.met else AMBER)
        text = f" {reached:.2f} (goal {bound(goal)})"
        axes.text(max(length, 1), row, text, va="center", fontsize=9, color=INK)
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(right=REACH * 6)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(judged)), [f"{one.title}: {compared(verdict.goal)}" for one, verdict in judged])
    axes.invert_yaxis()
    axes.set_xlabel("times the goal: right of the line it is met")
    _bare(axes)
    figure.suptitle("Goals", fontsize=15, fontweight="bold")
    return _saved(figure, path)


def _bars(path: Path, found: Found) -> Path:
    rows = -(-len(found) // COLUMNS)
    figure, grid = plt.subplots(rows, COLUMNS, figsize=(18, 3.6 * rows), layout="constrained", squeeze=False)
    for axes, (one, result) in zip(grid.flat, found, strict=False):
        _compare(axes, one, result)
    for axes in grid.flat[len(found) :]:
        axes.set_visible(False)
    figure.suptitle(
        "Ours (blue) and others; the mark on a bar is the strictest of its goals", fontsize=15, fontweight="bold"
    )
    return _saved(figure, path)


def _compare(axes: Axes, one: Benchmark, result: Result) -> None:
    records = result.records
    names = contestants(records)
    for row, who in enumerate(names):
        number = value(records, who, one.shown) or 0
        axes.barh(row, number, 0.7, color=_color(who))
        axes.text(number, row, f" {number:,.{2 if number < 10 else 0}f}", va="center", fontsize=9, color=INK)
    for row, who in enumerate(names):
        if mark := _goal_mark(one, result, who):
            axes.plot([mark] * 2, [row - 0.48, row + 0.48], color=AMBER, linewidth=2.5)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_title(one.title, fontsize=12)
    axes.set_xlabel(("MiB " if one.shown == "rate" and _in_bytes(result) else "") + UNITS[one.shown], fontsize=9)
    _bare(axes)


def _goal_mark(one: Benchmark, result: Result, who: str) -> float | None:
    """Return how long a bar must be, or may be, to meet all its goals."""
    marks = []
    for goal in one.goals:
        measure = value(result.records, goal.to, one.shown) if goal.to and goal.number == one.shown else None
        if measure and goal.of == who:
            marks.append((goal.bound * measure, goal.at_least))
    if not marks:
        return None
    return max(mark for mark, _ in marks) if marks[0][1] else min(mark for mark, _ in marks)


def _in_bytes(result: Result) -> bool:
    return any("cpu" in record.values for record in result.records)


def _growth(path: Path, found: Found) -> Path:
    figure, grid = plt.subplots(1, len(found), figsize=(8 * len(found), 6), layout="constrained", squeeze=False)
    for axes, (one, result) in zip(grid.flat, found, strict=True):
        ours, others = iter((BLUE, LIGHT_BLUE, "#053061", "#4393c3")), iter(LINES)
        for who in contestants(result.records):
            points = [(place, value(result.records, who, one.shown, place)) for place in places(result.records)]
            reached = [(place, number) for place, number in points if number]
            color = next(ours if who.startswith(OURS) else others)
            axes.plot(*zip(*reached, strict=True), "o-", color=color, linewidth=3 if who == OURS else 2)
            axes.annotate(f" {who.removeprefix(f'{OURS}, ')}", reached[-1], va="center", fontsize=10, color=color)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter("{x:,.9g}")
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.set_xlim(right=4 * places(result.records)[-1])  # room for the names
        axes.set_title(one.title, fontsize=12)
        axes.set_xlabel(one.scale)
        axes.set_ylabel("p50, ms, lower is quicker" if one.shown == "p50" else "requests a second, higher is quicker")
        axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("How cost grows", fontsize=15, fontweight="bold")
    return _saved(figure, path)


def _color(who: str) -> str:
    return BLUE if who == OURS else LIGHT_BLUE if who.startswith(OURS) else GREY


def _bare(axes: Axes) -> None:
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _saved(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path
