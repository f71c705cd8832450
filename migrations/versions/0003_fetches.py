"""fetches"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("files", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.add_column(sa.Column("source_url", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("expected_sha256", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("received", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("total", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("failure", sa.String(length=16), nullable=True))
        batch_op.add_column(sa.Column("error", sa.String(length=255), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("files", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.drop_column("error")
        batch_op.drop_column("failure")
        batch_op.drop_column("total")
        batch_op.drop_column("received")
        batch_op.drop_column("expected_sha256")
        batch_op.drop_column("source_url")
