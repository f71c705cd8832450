"""uploads.joined_keys, failure, file_key: workers join partial uploads"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("joined_keys", sa.Text(), nullable=True))
    op.add_column("uploads", sa.Column("failure", sa.Text(), nullable=True))
    op.add_column("uploads", sa.Column("file_key", sa.String(255), nullable=True))
    waiting = sa.text("joined_keys IS NOT NULL")
    op.create_index("ix_uploads_joined_keys", "uploads", ["host"], postgresql_where=waiting, sqlite_where=waiting)


def downgrade() -> None:
    # What is being joined has to be asked for again; of what has a file, the answer is lost.
    op.execute("DELETE FROM uploads WHERE joined_keys IS NOT NULL OR (file_key IS NOT NULL AND answer_status IS NULL)")
    op.drop_index("ix_uploads_joined_keys", "uploads")
    op.drop_column("uploads", "file_key")
    op.drop_column("uploads", "failure")
    op.drop_column("uploads", "joined_keys")
