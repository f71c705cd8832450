"""Load the app for a command, from the environment; a wrong setting ends the command with a sentence."""

import os

import click
from flask import Flask
from flask.cli import ScriptInfo

from vimeo_api import config, logs
from vimeo_api.app import create_app


def load_app(**overrides: object) -> Flask:
    """Return the app; an override that is not None wins over the environment.

    Raises ClickException with a sentence for each setting that is wrong.
    """
    try:
        settings = config.load({name: str(value) for name, value in overrides.items() if value is not None})
        logs.configure(settings)
        os.umask(0o077)  # only this user may read the files we create
        return create_app(settings)
    except config.ConfigError as error:
        raise click.ClickException(str(error)) from None


# What `with_appcontext` looks for in a command's context.
APP = ScriptInfo(create_app=load_app)
