"""The progress bar of `copy` and `fetch`: shown on a terminal only."""

import sys
from typing import NoReturn, TypeAlias

from tqdm import tqdm

Bar: TypeAlias = "tqdm[NoReturn]"  # it counts bytes and iterates over nothing

tqdm.monitor_interval = 0  # no monitor thread, which would outlive the bar


def bar(total: int | None = None) -> Bar:
    """Return a bar with rate and time left; `total` is in bytes, None if unknown."""
    return tqdm(
        total=total, unit="B", unit_scale=True, unit_divisor=1024, file=sys.stdout, disable=not sys.stdout.isatty()
    )
