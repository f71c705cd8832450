"""ix_files_queue, ix_files_due_at: only rows that have a queue, or that something is due for"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

COLUMNS = {"ix_files_queue": ["queue", "id"], "ix_files_due_at": ["due_at"]}


def upgrade() -> None:
    for name, columns in COLUMNS.items():
        some = sa.text(f"{columns[0]} IS NOT NULL")
        op.drop_index(name, "files")
        op.create_index(name, "files", columns, postgresql_where=some, sqlite_where=some)


def downgrade() -> None:
    for name, columns in COLUMNS.items():
        op.drop_index(name, "files")
        op.create_index(name, "files", columns)
