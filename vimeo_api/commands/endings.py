"""How `copy`, `fetch`, `send` and `get` end: done, or with nothing left behind, and with an exit code for each case.

Sources: signal(7); the shells' 128 + the number of the signal.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

CODES = (
    "Exit codes: 0 done; 1 failed, with a sentence on stderr; 2 wrong usage; 130 stopped by Ctrl-C, 143 by SIGTERM, "
    "129 by SIGHUP."
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Interrupted(KeyboardInterrupt):
    """A signal interrupted the block."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block like Ctrl-C: clean up, then exit with the signal's code.

    A signal that was ignored before, as under nohup, stays ignored.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def interrupt(number: int, _frame: object) -> None:
        finish_undisturbed()  # else a second Ctrl-C would interrupt the cleanup
        raise _Interrupted(number)

    try:
        for number in _SIGNALS:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, interrupt)
        yield
    except _Interrupted as error:
        click.echo("Aborted!", err=True)
        raise click.exceptions.Exit(128 + error.number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def finish_undisturbed() -> None:
    """Ignore the signals until the block of `ending_cleanly` ends, so that the rest is not interrupted."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def cannot_write(path: Path, error: OSError) -> click.ClickException:
    """Return the error that says why nothing can be written to a path."""
    return click.ClickException(f"Cannot write to {path}: {error.strerror or error}.")
