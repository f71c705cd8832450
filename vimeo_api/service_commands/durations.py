"""Durations in command-line options, such as 90d, 12h or 30m."""

from datetime import timedelta

import click

from vimeo_api.config.values import seconds


class Duration(click.ParamType[timedelta]):
    """A duration of at least a second, written as 90d, 12h or 30m."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the duration."""
        try:
            return timedelta(seconds=seconds(str(value)) or self.fail("It must be at least a second.", param, ctx))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a duration such as 90d, 12h or 30m.", param, ctx)
