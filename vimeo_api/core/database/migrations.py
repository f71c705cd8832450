"""The migrations of the tables. Only what runs them binds them, so that other processes do not import Alembic.

`manage.py db` and the embedded server do.
"""

from flask_migrate import Migrate

from vimeo_api.extensions import INSTALLED, PACKAGE, db

FOLDER = (PACKAGE if INSTALLED else PACKAGE.parent) / "migrations"

migrate = Migrate(db=db, directory=str(FOLDER), render_as_batch=True)
