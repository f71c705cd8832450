"""Load the app for a command, from the environment; a wrong setting or database ends the command with a sentence."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask import Flask
from flask.cli import ScriptInfo
from sqlalchemy.exc import DBAPIError

from vimeo_api import config, logs
from vimeo_api.app import create_app

MISSING = ("no such table", "no such column", "UndefinedTable", "UndefinedColumn")


def load_app(*, existing: bool = False, **overrides: object) -> Flask:
    """Return the app; an override that is not None wins over the environment.

    Raises ClickException with a sentence for each setting that is wrong; with `existing` also if there is no database.
    """
    try:
        chosen = {name: str(value) for name, value in overrides.items() if value is not None}
        settings = config.load(chosen, existing=existing)
        logs.configure(settings)
        os.umask(0o077)  # only this user may read the files we create
        return create_app(settings)
    except config.ConfigError as error:
        raise click.ClickException(str(error)) from None


def load_existing() -> Flask:
    """Return the app for a command that works on the service's database, and must not make another one."""
    return load_app(existing=True)


@contextmanager
def sentences() -> Iterator[None]:
    """End a command with a sentence if the database is away or lacks tables, or if it cannot store an argument."""
    try:
        yield
    except UnicodeEncodeError:
        raise click.ClickException("An argument is not UTF-8.") from None
    except DBAPIError as error:
        words = f"{type(error.orig).__name__} {error.orig}"
        if any(missing in words for missing in MISSING):
            raise click.ClickException("The database lacks tables; `manage.py db upgrade` makes them.") from None
        reason = str(error.orig).partition("\n")[0]
        raise click.ClickException(f"The database cannot be used: {reason}") from None


class DatabaseCommand(click.Command):
    """A command that works on the database."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        with sentences():
            return super().invoke(ctx)


class DatabaseGroup(click.Group):
    """A group of commands that work on the database."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the chosen command."""
        with sentences():
            return super().invoke(ctx)


# What `with_appcontext` looks for in a command's context.
APP = ScriptInfo(create_app=load_existing)
