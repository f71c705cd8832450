"""Results as pictures: heat maps of ratios, bars that compare programs, and lines."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks.command import RESULTS
from benchmarks.tables import Grid

mpl.use("Agg")

REACH = 2.0  # the colours go from 1/REACH to REACH times as fast as the measure, and stay the same beyond
GREY, BROWN, GREEN, BLUE, INK = "#757575", "#b7791f", "#2e7d5b", "#2166ac", "#222222"


@contextmanager
def drawn(name: str, title: str, where: str) -> Iterator[Figure]:
    """Draw into a figure, which becomes a PNG file of the results and says which machine they come from."""
    figure = plt.figure(figsize=(15, 8), layout="constrained")
    yield figure
    figure.suptitle(title, fontsize=16, fontweight="bold")
    figure.supxlabel(where, fontsize=9, color=GREY)
    figure.savefig(RESULTS / f"{name}.png", dpi=110)
    plt.close(figure)


def heat(axes: Axes, title: str, grid: Grid, *, rows: str, columns: str) -> None:
    """Draw ratios as a heat map; `rows` and `columns` say what the two arguments are."""
    cells = [[grid.ratios[row, column] for column in grid.columns] for row in grid.rows]
    axes.imshow(cells, cmap="RdBu", norm=LogNorm(1 / REACH, REACH), aspect="auto")
    for row, ratios in enumerate(cells):
        for column, ratio in enumerate(ratios):
            color = INK if REACH**-0.7 < ratio < REACH**0.7 else "white"
            axes.text(column, row, f"{ratio:.2f}", ha="center", va="center", fontsize=11, color=color)
    axes.set_title(title, fontsize=12)
    axes.set_xticks(range(len(grid.columns)), grid.columns)
    axes.set_yticks(range(len(grid.rows)), grid.rows)
    axes.set_xlabel(columns)
    axes.set_ylabel(rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if grid.default in grid.ratios:
        row, column = grid.rows.index(grid.default[0]), grid.columns.index(grid.default[1])
        axes.add_patch(Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, fill=False, edgecolor=INK, linewidth=2.5))


def bars(axes: Axes, title: str, groups: Mapping[str, Mapping[str, float]], colors: Mapping[str, str]) -> None:
    """Draw the ratios of several programs, whose names stand in the bars, under several conditions."""
    for place, ratios in enumerate(groups.values()):
        height = 0.8 / len(ratios)
        for nth, (name, ratio) in enumerate(ratios.items()):
            middle = place + height * (nth - (len(ratios) - 1) / 2)
            axes.barh(middle, ratio, height * 0.92, color=colors[name])
            within: dict[str, Any] = {
                "fontsize": 10,
                "xytext": (5, 0),
                "textcoords": "offset points",
                "va": "center",
                "clip_on": True,
            }
            axes.annotate(name, (0, middle), color="white", fontweight="bold", **within)
            axes.text(ratio, middle, f" {ratio:.2f}", va="center", fontsize=10, color=INK)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(groups)), [label.replace(", ", ",\n") for label in groups])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title(title, fontsize=12)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
