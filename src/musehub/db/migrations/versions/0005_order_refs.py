"""order refs"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("refs", sa.Column("place", sa.BigInteger(), server_default="0", nullable=False))
    # Branches, tags of commits (kind 3), other tags; in each the newest first.
    committed = (
        "(SELECT committed_at FROM commits WHERE target_kind = 3"
        " AND commits.repository_id = refs.repository_id AND commits.id = refs.target)"
    )
    op.execute(
        f"UPDATE refs SET place = CASE WHEN substr(name, 1, 5) <> 'tags/' THEN -COALESCE({committed}, 0)"
        f" ELSE COALESCE({1 << 60} - {committed}, {1 << 61} - updated_at) END"
    )
    op.create_index("ix_refs_repository_id_place", "refs", ["repository_id", "place", "name"])
    op.create_index(
        "ix_refs_repository_id_target", "refs", ["repository_id", "target_kind", "target", "name"]
    )
