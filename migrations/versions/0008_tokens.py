"""tokens"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        sa.UniqueConstraint("digest"),
    )
    op.add_column("files", sa.Column("token_id", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_files_token",
        "files",
        ["token_id", "size"],
        unique=False,
        postgresql_where=sa.text("token_id IS NOT NULL"),
        sqlite_where=sa.text("token_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_files_token", table_name="files")
    op.drop_column("files", "token_id")
    op.drop_table("tokens")
