"""hosts, files.host, files.lease_host, uploads.host, journal_losses.host: several hosts"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "hosts",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("address", sa.String(255), nullable=True),
        sa.Column("joined_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("journal_read_at", MOMENT, nullable=True),
    )
    op.add_column("files", sa.Column("host", sa.String(64), nullable=True))
    op.add_column("files", sa.Column("lease_host", sa.Text(), nullable=True))
    op.add_column("uploads", sa.Column("host", sa.String(64), nullable=True))
    _make_losses(sa.Column("host", sa.String(64), primary_key=True, server_default=""))


def downgrade() -> None:
    # Each cause counts for all hosts again, and the last time of it.
    _make_losses()
    op.drop_column("uploads", "host")
    op.drop_column("files", "lease_host")
    op.drop_column("files", "host")
    op.drop_table("hosts")
    _forget_hosts_of_places()


def _make_losses(*more: sa.Column[str]) -> None:
    """Make the table of losses anew: SQLite cannot change a primary key."""
    op.rename_table("journal_losses", "old_losses")
    op.create_table(
        "journal_losses",
        *more,
        sa.Column("cause", sa.String(64), primary_key=True),
        sa.Column("noted_at", MOMENT, nullable=False),
    )
    op.execute(
        "INSERT INTO journal_losses (cause, noted_at) SELECT cause, MAX(noted_at) FROM old_losses GROUP BY cause"
    )
    op.drop_table("old_losses")


def _forget_hosts_of_places() -> None:
    connection = op.get_bind()
    found = connection.execute(sa.text("SELECT id, places FROM files WHERE places <> ''")).all()
    for file_id, places in found:
        said = json.loads(places)
        said["taken"] = {token: place[:6] for token, place in said["taken"].items()}
        values = {"id": file_id, "places": json.dumps(said, separators=(",", ":"))}
        connection.execute(sa.text("UPDATE files SET places = :places WHERE id = :id"), values)
