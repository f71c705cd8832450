"""One history for both databases: up, no drift from the models, down, up again."""

from pathlib import Path

import flask_migrate
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask

from tests.services import ROOT, Service
from vimeo_api import config
from vimeo_api.app import create_app
from vimeo_api.core.database.migrations import migrate
from vimeo_api.extensions import db

MIGRATIONS = str(ROOT / "migrations")


def walk(app: Flask) -> None:
    migrate.init_app(app)
    with app.app_context():
        flask_migrate.upgrade(MIGRATIONS)
        assert drift() == []
        flask_migrate.downgrade(MIGRATIONS, "0008")
        renaming_keeps_data()
        flask_migrate.upgrade(MIGRATIONS, "0009")
        old_names_are_folded()
        flask_migrate.downgrade(MIGRATIONS, "base")
        assert set(sqlalchemy.inspect(db.engine).get_table_names()) <= {"alembic_version", "sqlite_sequence"}
        flask_migrate.upgrade(MIGRATIONS)
        assert drift() == []
        db.engine.dispose()


def renaming_keeps_data() -> None:
    """Fill the tables of 0008, go up and down again."""
    with db.engine.begin() as connection:
        columns = 'id, surface, key, blob, name, size, created_at, status, attempts, "grant", answers, landed, resumed'
        values = "7, 'vimeo', 'k', 'b', 'n', 3, '2026-01-01', 'leased', 0, 'token', 5, true, false"
        for statement in (
            f"INSERT INTO files ({columns}) VALUES ({values})",
            "INSERT INTO delivered_ranges (file_id, \"grant\", start, stop) VALUES (7, 'token', 0, 2)",
            "INSERT INTO tallies (name, value, noted_at) VALUES ('sweep', 9, '2026-01-01')",
        ):
            connection.exec_driver_sql(statement)
    flask_migrate.upgrade(MIGRATIONS, "0009")
    now = ("lease_token, responses, pending FROM files", "lease_token FROM delivered_ranges", "value FROM counters")
    before = ('"grant", answers, landed FROM files', '"grant" FROM delivered_ranges', "value FROM tallies")
    assert contents(*now) == [("token", 5, True), ("token",), (9,)]
    flask_migrate.downgrade(MIGRATIONS, "0008")
    assert contents(*before) == [("token", 5, True), ("token",), (9,)]


def old_names_are_folded() -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE files SET name = 'ОТЧЁТ.txt'")
    flask_migrate.upgrade(MIGRATIONS)
    assert contents("name, folded_name FROM files") == [("ОТЧЁТ.txt", "отчёт.txt")]


def contents(*columns: str) -> list[tuple[object, ...]]:
    with db.engine.connect() as connection:
        return [tuple(connection.exec_driver_sql(f"SELECT {each}").one()) for each in columns]


def drift() -> object:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, db.metadata)


def test_sqlite_goes_up_and_down(tmp_path: Path) -> None:
    walk(create_app(config.load({"DATA_DIR": str(tmp_path)})))


def test_postgresql_goes_up_and_down(stack: Service, tmp_path: Path) -> None:
    server = f"postgresql+psycopg:///%s?host={stack.data / 'run'}&user=vimeo_api"
    admin = sqlalchemy.create_engine(server % "postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE migrations")
    admin.dispose()
    app = create_app(config.load({"DATA_DIR": str(tmp_path), "DATABASE_URL": server % "migrations"}))
    assert app.config["SQLALCHEMY_DATABASE_URI"].startswith("postgresql")
    walk(app)


@pytest.mark.slow
@pytest.mark.parametrize("count", [4])
def test_several_starts_at_once_migrate_once(tmp_path: Path, count: int) -> None:
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    code = (
        "from vimeo_api import config; from vimeo_api.embedded import server; from vimeo_api.app import create_app;"
        f"server.upgrade_database(create_app(config.load({{'DATA_DIR': {str(tmp_path)!r}}})))"
    )
    started = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(count)]
    assert [process.wait(60) for process in started] == [0] * count
