"""journal_losses: until when lines of the journal may have been lost"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "journal_losses",
        sa.Column("cause", sa.String(64), primary_key=True),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    # The old release does not know files in doubt. It never gives out what is gone, so that is what they become.
    op.execute("UPDATE files SET status = 'gone', due_at = CURRENT_TIMESTAMP WHERE status = 'in_doubt'")
    op.drop_table("journal_losses")
