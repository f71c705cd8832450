"""Sizes in command-line options, such as 64K or 1M."""

import re

import click

_SHIFTS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


class Size(click.ParamType[int]):
    """A number of bytes, at least 1, written as 65536, 64K or 1M."""

    name = "size"

    def __init__(self, largest: str) -> None:
        """Accept sizes up to `largest`, written the same way."""
        self._largest = largest

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes."""
        size = _bytes(str(value))
        if not 1 <= size <= _bytes(self._largest):
            self.fail(f"{value!r} is not a size from 1 to {self._largest}, such as 65536, 64K or 1M.", param, ctx)
        return size


def _bytes(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,15})([KMGT]?)(?:i?B)?", text, re.IGNORECASE)
    return int(match[1]) << _SHIFTS[match[2].upper()] if match else 0
