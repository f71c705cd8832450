"""files.folded_name"""

import sqlalchemy as sa
from alembic import op

# Not a frozen copy: names must have the form that the code searches by. A change of the form needs another migration.
from vimeo_api.core.files import file_names

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

BATCH = 1000  # rows

FILES = sa.table("files", sa.column("id"), sa.column("name"), sa.column("folded_name"), sa.column("status"))


def upgrade() -> None:
    op.add_column("files", sa.Column("folded_name", sa.Text(), nullable=True))
    last = 0
    while rows := _rows_after(last):
        fold = sa.update(FILES).where(FILES.c.id == sa.bindparam("row")).values(folded_name=sa.bindparam("folded"))
        op.get_bind().execute(fold, [{"row": row.id, "folded": file_names.folded(row.name)} for row in rows])
        last = rows[-1].id


def downgrade() -> None:
    op.drop_column("files", "folded_name")


def _rows_after(last: int) -> list[sa.Row]:
    # Files that are gone are not searched.
    these = (FILES.c.id > last, FILES.c.status != "gone")
    query = sa.select(FILES.c.id, FILES.c.name).where(*these).order_by(FILES.c.id).limit(BATCH)
    return list(op.get_bind().execute(query))
