"""How far a command is, for people: a bar on a terminal, nothing elsewhere."""

import sys
from typing import NoReturn, TypeAlias

from tqdm import tqdm

Bar: TypeAlias = "tqdm[NoReturn]"  # it counts bytes and iterates over nothing

tqdm.monitor_interval = 0  # a thread that would outlive the bar


def bar(total: int | None = None) -> Bar:
    """Return a bar of so many bytes, if they are known, with the rate and the time left."""
    return tqdm(
        total=total, unit="B", unit_scale=True, unit_divisor=1024, file=sys.stdout, disable=not sys.stdout.isatty()
    )
