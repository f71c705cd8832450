"""manage_digest, removed_at, expired_at: an uploader follows and deletes a file by its manage URL"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("files") as batch:
        batch.add_column(sa.Column("manage_digest", sa.String(64)))
        batch.add_column(sa.Column("removed_at", sa.DateTime(timezone=True)))
        batch.add_column(sa.Column("expired_at", sa.DateTime(timezone=True)))
    held = sa.text("manage_digest IS NOT NULL")
    op.create_index(
        "ix_files_manage_digest", "files", ["manage_digest"], unique=True, postgresql_where=held, sqlite_where=held
    )


def downgrade() -> None:
    op.drop_index("ix_files_manage_digest", "files")
    with op.batch_alter_table("files") as batch:
        batch.drop_column("expired_at")
        batch.drop_column("removed_at")
        batch.drop_column("manage_digest")
