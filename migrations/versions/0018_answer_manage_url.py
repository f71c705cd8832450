"""answer_manage_url: resumable uploads have a manage URL, too"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("uploads") as batch:
        batch.add_column(sa.Column("answer_manage_url", sa.Text))


def downgrade() -> None:
    with op.batch_alter_table("uploads") as batch:
        batch.drop_column("answer_manage_url")
