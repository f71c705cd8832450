"""streams, store, named, transfer"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("files", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.add_column(sa.Column("content_type", sa.String(length=127), nullable=True))
        batch_op.add_column(sa.Column("digest", sa.String(length=160), nullable=True))
        batch_op.add_column(sa.Column("queue", sa.String(length=128), nullable=True))
        batch_op.alter_column("key", existing_type=sa.VARCHAR(length=255), nullable=True)
        batch_op.create_index("ix_files_queue", ["queue", "id"], unique=False)
        batch_op.create_index("ix_files_surface_blob", ["surface", "blob"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("files", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.drop_index("ix_files_surface_blob")
        batch_op.drop_index("ix_files_queue")
        batch_op.alter_column("key", existing_type=sa.VARCHAR(length=255), nullable=False)
        batch_op.drop_column("queue")
        batch_op.drop_column("digest")
        batch_op.drop_column("content_type")
