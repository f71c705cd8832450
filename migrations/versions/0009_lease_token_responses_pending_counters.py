"""files.lease_token, responses, pending; counters"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COLUMNS = (
    ("files", "grant", "lease_token"),
    ("files", "answers", "responses"),
    ("files", "landed", "pending"),
    ("delivered_ranges", "grant", "lease_token"),
)


def upgrade() -> None:
    for table, old, new in COLUMNS:
        _rename(table, old, new)
    op.rename_table("tallies", "counters")


def downgrade() -> None:
    op.rename_table("counters", "tallies")
    for table, old, new in COLUMNS:
        _rename(table, new, old)


def _rename(table: str, old: str, new: str) -> None:
    # In place on both databases. Alembic's batch mode would copy the table on SQLite.
    op.execute(sa.text(f'ALTER TABLE {table} RENAME COLUMN "{old}" TO "{new}"'))
