"""Numbers of bytes as people write them."""

import re

import click

_SHIFTS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


class Size(click.ParamType[int]):
    """A number of bytes from 1 on, said as 65536, 64K or 1M."""

    name = "size"

    def __init__(self, largest: str) -> None:
        """Take no more than the largest, said the same way."""
        self._largest = largest

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes."""
        size = _bytes(str(value))
        if not 1 <= size <= _bytes(self._largest):
            self.fail(f"{value!r} is not a size from 1 to {self._largest}, as 65536, 64K or 1M.", param, ctx)
        return size


def _bytes(text: str) -> int:
    said = re.fullmatch(r"([0-9]{1,15})([KMGT]?)(?:i?B)?", text, re.IGNORECASE)
    return int(said[1]) << _SHIFTS[said[2].upper()] if said else 0
