"""Repositories, who may use them, and their branches and tags."""

from __future__ import annotations

import sqlalchemy as sa

from musehub.db.tables.columns import Bytes, Instant, RowId, metadata, one_of

repositories = sa.Table(
    "repositories",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("owner_id", sa.BigInteger, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Column("visibility", sa.Text, nullable=False, server_default="private"),
    sa.Column("default_branch", sa.Text, nullable=False, server_default="main"),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
    sa.Column("pushed_at", Instant),
    # Changed in the transactions that insert and delete packs, blobs and records: always exact.
    sa.Column("stored_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("stored_objects", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("quota_bytes", sa.BigInteger),  # null: as the settings say; 0: unlimited
    sa.Column("quota_objects", sa.BigInteger),
    sa.Column("signatures", sa.Text, nullable=False, server_default="none"),  # none, signed, known
    # Grows with every transaction that records or moves a ref, and with every one that removes something.
    sa.Column("write_count", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("gc_epoch", sa.BigInteger, nullable=False, server_default="0"),
    # There are rows in missing_objects: a push must ask what is missing.
    sa.Column("is_incomplete", sa.Boolean, nullable=False, server_default=sa.text("FALSE")),
    sa.UniqueConstraint("owner_id", "name"),
    one_of("visibility", "public", "private"),
)

collaborators = sa.Table(
    "collaborators",
    metadata,
    sa.Column("repository_id", sa.BigInteger, sa.ForeignKey("repositories.id"), primary_key=True),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), primary_key=True, index=True),
    sa.Column("role", sa.Text, nullable=False),
    one_of("role", "read", "write"),
)

refs = sa.Table(
    "refs",
    metadata,
    sa.Column("repository_id", sa.BigInteger, sa.ForeignKey("repositories.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),  # `heads/main`, `tags/v1`
    sa.Column("target", Bytes, nullable=False),
    sa.Column("target_kind", sa.SmallInteger, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
    # Where it stands in a list of all, the smallest first; see `musehub.db.refs.place_of`.
    sa.Column("place", sa.BigInteger, nullable=False, server_default="0"),
    # Pages of lists, and labels of commits: a page's worth of rows is read, however many there are.
    sa.Index("ix_refs_repository_id_place", "repository_id", "place", "name"),
    sa.Index("ix_refs_repository_id_target", "repository_id", "target_kind", "target", "name"),
    sqlite_with_rowid=False,
)
