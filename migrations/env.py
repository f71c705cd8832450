"""Alembic's environment: the models' metadata, and a connection with ordinary transactions."""

from alembic import context
from flask import current_app
from sqlalchemy import create_engine

from vimeo_api.core.database import models
from vimeo_api.extensions import db

URL = current_app.config["SQLALCHEMY_DATABASE_URI"]


def render_item(kind, item, _context):
    """Write our own column type as the type that the database has."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, models.UtcDateTime) else False


OPTIONS = {
    "target_metadata": db.metadata,
    "render_as_batch": True,
    "compare_type": True,
    "render_item": render_item,
}


def run_offline() -> None:
    context.configure(url=URL, literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    # The app's own engine commits each statement by itself; on PostgreSQL a migration is all or nothing.
    with create_engine(URL).connect() as connection:
        context.configure(connection=connection, **OPTIONS)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
