"""Results as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_UNITS = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024), ("B", 1))


def size(number: int) -> str:
    """Return a number of bytes in words."""
    unit, divisor = next((unit, divisor) for unit, divisor in _UNITS if number >= divisor or divisor == 1)
    return f"{number // divisor} {unit}"


@dataclass(frozen=True)
class Grid:
    """Ratios by two arguments, each in words."""

    rows: Sequence[str]
    columns: Sequence[str]
    ratios: Mapping[tuple[str, str], float]
    default: tuple[str, str]  # the combination to point out, if it is there


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table, after an empty one."""
    return ["", _line(header), "|---" * len(header) + "|", *map(_line, rows)]


def matrix(corner: str, grid: Grid) -> list[str]:
    """Return the lines of a table of ratios; the default is bold."""

    def cell(row: str, column: str) -> str:
        ratio = f"{grid.ratios[row, column]:.2f}"
        return f"**{ratio}**" if (row, column) == grid.default else ratio

    return table([corner, *grid.columns], [[row, *(cell(row, column) for column in grid.columns)] for row in grid.rows])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
