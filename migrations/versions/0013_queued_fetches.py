"""queued_fetches"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "queued_fetches",
        sa.Column("file_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("origin", sa.String(255), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("queued_fetches")
