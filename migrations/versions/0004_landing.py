"""landing"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("files", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.add_column(sa.Column("landed", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("place_due_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index(
            "ix_files_place_due_at",
            ["place_due_at"],
            unique=False,
            postgresql_where=sa.text("place_due_at IS NOT NULL"),
            sqlite_where=sa.text("place_due_at IS NOT NULL"),
        )


def downgrade() -> None:
    with op.batch_alter_table("files", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.drop_index("ix_files_place_due_at")
        batch_op.drop_column("place_due_at")
        batch_op.drop_column("landed")
