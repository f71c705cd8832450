"""files.spans, files.leased_at, download_attempts; no delivered_ranges"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What was sent in ranges before does not count: such a file can be fetched a little more often.
    op.drop_table("delivered_ranges")
    op.add_column("files", sa.Column("spans", sa.Text(), nullable=False, server_default=""))
    op.add_column("files", sa.Column("leased_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "download_attempts",
        sa.Column("file_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("response", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("download_attempts")
    op.drop_column("files", "leased_at")
    op.drop_column("files", "spans")
    op.create_table(
        "delivered_ranges",
        sa.Column("file_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("lease_token", sa.String(32), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("stop", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["files.id"]),
        sa.PrimaryKeyConstraint("file_id", "lease_token", "start", "stop"),
    )
