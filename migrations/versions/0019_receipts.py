"""receipts, notify_url: an uploader names a URL that is told what became of the file"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("files") as batch:
        batch.add_column(sa.Column("notify_url", sa.Text()))
    with op.batch_alter_table("uploads") as batch:
        batch.add_column(sa.Column("notify_url", sa.Text()))
    owes = sa.text("notify_url IS NOT NULL AND status = 'gone'")
    op.create_index("ix_files_owes", "files", ["id"], postgresql_where=owes, sqlite_where=owes)
    op.create_table(
        "receipts",
        sa.Column("message_id", sa.String(64), primary_key=True),
        sa.Column("file_id", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("tried_at", sa.DateTime(timezone=True)),
        sa.Column("error", sa.String(255)),
        sa.UniqueConstraint("file_id", "event", "number"),
    )
    due = sa.text("due_at IS NOT NULL")
    op.create_index("ix_receipts_due_at", "receipts", ["due_at"], postgresql_where=due, sqlite_where=due)


def downgrade() -> None:
    op.drop_table("receipts")
    op.drop_index("ix_files_owes", "files")
    with op.batch_alter_table("uploads") as batch:
        batch.drop_column("notify_url")
    with op.batch_alter_table("files") as batch:
        batch.drop_column("notify_url")
