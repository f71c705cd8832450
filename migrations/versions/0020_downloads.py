"""files.downloads, files.places, files.doubtful, download_attempts.place, uploads.downloads: N downloads of a file"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("files", sa.Column("downloads", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("files", sa.Column("places", sa.Text(), nullable=False, server_default=""))
    op.add_column("files", sa.Column("doubtful", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("download_attempts", sa.Column("place", sa.Integer(), nullable=True))
    op.add_column("uploads", sa.Column("downloads", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    # A file for several downloads can be downloaded once more.
    op.drop_column("uploads", "downloads")
    op.drop_column("download_attempts", "place")
    op.drop_column("files", "doubtful")
    op.drop_column("files", "places")
    op.drop_column("files", "downloads")
