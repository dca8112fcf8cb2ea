"""What the jobs found."""

from __future__ import annotations

import sqlalchemy as sa

from musehub.db.tables.columns import Bytes, Instant, Json, RowId, metadata, one_of

# One row per commit that was compared with its first parent; such a commit's ancestors have one, too.
commit_figures = sa.Table(
    "commit_figures",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("commit_id", Bytes, primary_key=True),
    sa.Column("committed_at", Instant, nullable=False),
    sa.Column("files", sa.Integer),  # null: not compared, or too many
    sqlite_with_rowid=False,
)

file_changes = sa.Table(
    "file_changes",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("commit_id", Bytes, primary_key=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("committed_at", Instant, nullable=False),
    sa.Column("change", sa.Text, nullable=False),
    sa.Column("added", sa.Integer),  # lines; null: not counted
    sa.Column("removed", sa.Integer),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),  # afterwards
    sa.Index("ix_file_changes_repository_id_committed_at", "repository_id", "committed_at"),
    sa.Index("ix_file_changes_repository_id_path", "repository_id", "path"),
    one_of("change", "added", "changed", "removed"),
)

contributors = sa.Table(
    "contributors",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("identity", Bytes, primary_key=True),  # a hash of address, kind and agent
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("commits", sa.Integer, nullable=False),
    sa.Column("first_at", Instant, nullable=False),
    sa.Column("last_at", Instant, nullable=False),
)

# What pages show: one small JSON value per repository and kind, so that a page reads them all at once.
insights = sa.Table(
    "insights",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("value", Json, nullable=False),
    sa.Column("computed_at", Instant, nullable=False),
)

activity = sa.Table(
    "activity",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("repository_id", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", Bytes, nullable=False),  # of a push, its id
    sa.Column("user_id", sa.BigInteger, nullable=False),
    sa.Column("value", Json, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.UniqueConstraint("repository_id", "kind", "subject"),
    sa.Index("ix_activity_repository_id_created_at", "repository_id", "created_at"),
)

integrity_problems = sa.Table(
    "integrity_problems",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("pack_digest", Bytes, primary_key=True),
    sa.Column("problem", sa.Text, nullable=False),
    sa.Column("found_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
)
