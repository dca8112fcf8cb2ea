"""add room and upkeep"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "missing_objects",
        sa.Column("repository_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "kind", "id", name=op.f("pk_missing_objects")),
    )
    op.create_table(
        "condemned_packs",
        sa.Column("repository_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("condemned_at", sa.BigInteger(), nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("repository_id", "digest", name=op.f("pk_condemned_packs")),
    )
    # Plain ALTER TABLE on both databases: no table is rewritten.
    for table in ("users", "repositories"):
        op.add_column(table, sa.Column("quota_bytes", sa.BigInteger(), nullable=True))
        op.add_column(table, sa.Column("quota_objects", sa.BigInteger(), nullable=True))
    for name in ("stored_bytes", "stored_objects", "write_count", "gc_epoch"):
        op.add_column("repositories", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("repositories", sa.Column("signatures", sa.Text(), server_default="none", nullable=False))
    op.add_column(
        "repositories",
        sa.Column("is_incomplete", sa.Boolean(), server_default=sa.text("FALSE"), nullable=False),
    )
    op.add_column("records", sa.Column("recorded_at", sa.BigInteger(), server_default="0", nullable=False))
    op.execute(
        "UPDATE repositories SET stored_bytes ="
        " (SELECT COALESCE(SUM(size_bytes), 0) FROM packs WHERE repository_id = repositories.id)"
        " + (SELECT COALESCE(SUM(LENGTH(payload)), 0) FROM records WHERE repository_id = repositories.id)"
    )
    op.execute(
        "UPDATE repositories SET stored_objects ="
        " (SELECT COUNT(*) FROM blobs WHERE repository_id = repositories.id)"
        " + (SELECT COUNT(*) FROM records WHERE repository_id = repositories.id)"
    )
