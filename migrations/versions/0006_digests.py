"""digests"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UNDIGESTED = "digest IS NULL AND status = 'available'"


def upgrade() -> None:
    op.create_index(
        "ix_files_undigested",
        "files",
        ["id"],
        unique=False,
        postgresql_where=sa.text(UNDIGESTED),
        sqlite_where=sa.text(UNDIGESTED),
    )


def downgrade() -> None:
    op.drop_index("ix_files_undigested", table_name="files")
