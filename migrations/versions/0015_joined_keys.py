"""joined_keys: joining streams is a job of the workers"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("files") as batch:
        batch.add_column(sa.Column("joined_keys", sa.Text()))


def downgrade() -> None:
    # The old release would take a running join for a fetch without a URL, and fail it.
    with op.batch_alter_table("files") as batch:
        batch.drop_column("joined_keys")
