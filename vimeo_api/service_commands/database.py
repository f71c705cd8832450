"""`manage.py db`: Flask-Migrate's commands, with our app."""

import flask_migrate.cli

from vimeo_api.service_commands.loading import APP

db = flask_migrate.cli.db
db.context_settings["obj"] = APP
