"""files.store, files.modified: an object store beside the folder of files"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("files", sa.Column("store", sa.String(16), server_default="filesystem", nullable=False))
    op.add_column("files", sa.Column("modified", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("files", "modified")
    op.drop_column("files", "store")
