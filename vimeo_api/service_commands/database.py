"""`manage.py db`: Flask-Migrate's commands, with our app."""

import flask_migrate.cli
from flask import Flask
from flask.cli import ScriptInfo

from vimeo_api.core.database.migrations import migrate
from vimeo_api.service_commands.loading import DatabaseGroup, load_app


def load_app_to_migrate() -> Flask:
    """Return the app with its migrations."""
    app = load_app()
    migrate.init_app(app)
    return app


_theirs = flask_migrate.cli.db
db = DatabaseGroup(
    "db",
    _theirs.commands,
    callback=_theirs.callback,
    params=_theirs.params,
    help=_theirs.help,
    context_settings={"obj": ScriptInfo(create_app=load_app_to_migrate)},
)
