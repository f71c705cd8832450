"""The picture of `copying`: a heat map for each condition, and bars that compare the programs."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle

mpl.use("Agg")

UNITS = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024), ("B", 1))
REACH = 2.0  # the colours go from 1/REACH to REACH times as fast as dd, and stay the same beyond
GREY, INK = "#757575", "#222222"


def size(number: int) -> str:
    """Return a number of bytes in words."""
    unit, divisor = next((unit, divisor) for unit, divisor in UNITS if number >= divisor or divisor == 1)
    return f"{number // divisor} {unit}"


def name_of(threads: int, chunk: int) -> str:
    """Return the writer's name with these arguments."""
    return f"{threads} × {size(chunk)}"


@dataclass(frozen=True)
class Condition:
    """What was measured under one condition."""

    allocated: bool
    synced: bool
    seconds: tuple[float, ...]  # that dd took, in each round
    ratios: dict[str, float]  # × dd, by name
    threads: tuple[int, ...]
    chunks: tuple[int, ...]

    @property
    def space(self) -> str:
        """Where the bytes went."""
        return "allocated space" if self.allocated else "a fresh file"

    @property
    def title(self) -> str:
        """The condition in words."""
        return f"Into {self.space}, {'with' if self.synced else 'without'} fsync"


def draw(path: Path, conditions: list[Condition], where: str, *, default: tuple[int, int]) -> None:
    """Draw the conditions into a PNG file."""
    figure = plt.figure(figsize=(15, 8), layout="constrained")
    grid = figure.add_gridspec(2, 3)
    for place, condition in enumerate(conditions):
        _heat(figure.add_subplot(grid[place // 2, place % 2]), condition, default)
    _bars(figure.add_subplot(grid[:, 2]), conditions, default)
    figure.suptitle("The concurrent writer: how many times as fast as dd (bs=1M)", fontsize=16, fontweight="bold")
    figure.supxlabel(where, fontsize=9, color=GREY)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _heat(axes: Axes, condition: Condition, default: tuple[int, int]) -> None:
    cells = [[condition.ratios[name_of(threads, chunk)] for chunk in condition.chunks] for threads in condition.threads]
    axes.imshow(cells, cmap="RdBu", norm=LogNorm(1 / REACH, REACH), aspect="auto")
    for row, ratios in enumerate(cells):
        for column, ratio in enumerate(ratios):
            light = not REACH**-0.7 < ratio < REACH**0.7
            axes.text(
                column, row, f"{ratio:.2f}", ha="center", va="center", fontsize=11, color="white" if light else INK
            )
    axes.set_title(condition.title, fontsize=12)
    axes.set_xticks(range(len(condition.chunks)), [size(chunk) for chunk in condition.chunks])
    axes.set_yticks(range(len(condition.threads)), [str(threads) for threads in condition.threads])
    axes.set_xlabel("bytes at a time")
    axes.set_ylabel("threads")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    threads, chunk = default
    if threads in condition.threads and chunk in condition.chunks:
        corner = (condition.chunks.index(chunk) - 0.48, condition.threads.index(threads) - 0.48)
        axes.add_patch(Rectangle(corner, 0.96, 0.96, fill=False, edgecolor=INK, linewidth=2.5))


def _bars(axes: Axes, conditions: list[Condition], default: tuple[int, int]) -> None:
    programs = (("dd", GREY), ("cp", "#b7791f"), (name_of(*default), "#2166ac"))
    for place, condition in enumerate(conditions):
        for nth, (name, color) in enumerate(programs):
            ratio = {"dd": 1.0, **condition.ratios}[name]
            middle = place + 0.26 * (nth - 1)
            axes.barh(middle, ratio, 0.24, color=color)
            label = f"writer, {name}" if nth == 2 else name
            axes.text(0.02, middle, label, va="center", fontsize=10, color="white", fontweight="bold")
            axes.text(ratio, middle, f" {ratio:.2f}", va="center", fontsize=10, color=INK)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(conditions)), [condition.title.replace(", ", ",\n") for condition in conditions])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title("The default (framed) beside dd and cp", fontsize=12)
    axes.set_xlabel("× dd, longer is faster")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
