"""The progress bar of `copy`, `fetch`, `send` and `get`: shown on a terminal only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NoReturn, TypeAlias

from tqdm import tqdm

Bar: TypeAlias = "tqdm[NoReturn]"  # it counts bytes and iterates over nothing

tqdm.monitor_interval = 0  # no monitor thread, which would outlive the bar


def bar(total: int | None = None, *, initial: int = 0) -> Bar:
    """Return a bar with rate and time left; `total` is in bytes, None if unknown."""
    return tqdm(
        total=total,
        initial=initial,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        file=sys.stdout,
        disable=not sys.stdout.isatty(),
    )


@contextmanager
def bar_from_first_byte() -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows the bytes so far and in all; the bar appears at its first call, after any prompt."""
    with ExitStack() as stack:
        shown: list[Bar] = []

        def show(done: int, total: int) -> None:
            if not shown:
                shown.append(stack.enter_context(bar(total, initial=done)))
            shown[0].update(done - shown[0].n)

        yield show
