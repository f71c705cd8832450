"""places_used, places_told: receipts of each download of a file for several"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

NAME, BEFORE = "ix_files_owes", "notify_url IS NOT NULL AND status = 'gone'"
AFTER = "notify_url IS NOT NULL AND (status = 'gone' OR places_used > places_told)"


def upgrade() -> None:
    for column in ("places_used", "places_told"):
        op.add_column("files", sa.Column(column, sa.Integer(), nullable=False, server_default="0"))
    op.drop_index(NAME, "files")
    op.create_index(NAME, "files", ["id"], postgresql_where=sa.text(AFTER), sqlite_where=sa.text(AFTER))


def downgrade() -> None:
    op.drop_index(NAME, "files")
    op.create_index(NAME, "files", ["id"], postgresql_where=sa.text(BEFORE), sqlite_where=sa.text(BEFORE))
    for column in ("places_told", "places_used"):
        op.drop_column("files", column)
