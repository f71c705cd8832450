"""No URLs of fetches that are over"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

FILES = sa.table("files", sa.column("source_url"), sa.column("status"))


def upgrade() -> None:
    over = (FILES.c.source_url.is_not(None), FILES.c.source_url != "", FILES.c.status != "fetching")
    op.execute(sa.update(FILES).where(*over).values(source_url=""))


def downgrade() -> None:
    """Leave them blank: the old code asks only whether there was one."""
