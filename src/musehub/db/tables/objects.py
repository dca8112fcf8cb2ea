"""Packs, blobs, trees, commits, and what is known to be missing."""

from __future__ import annotations

import sqlalchemy as sa

from musehub.db.tables.columns import Bytes, Instant, RowId, metadata, one_of

packs = sa.Table(
    "packs",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("repository_id", sa.BigInteger, sa.ForeignKey("repositories.id"), nullable=False),
    sa.Column("digest", Bytes, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("object_count", sa.Integer, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("push_id", Bytes),
    sa.UniqueConstraint("repository_id", "digest"),
)

blobs = sa.Table(
    "blobs",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("id", Bytes, primary_key=True),
    sa.Column("pack_id", sa.BigInteger, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("stored_size", sa.BigInteger, nullable=False),
    sa.Column("raw_size", sa.BigInteger, nullable=False),
    sa.Column("encoding", sa.SmallInteger, nullable=False),
    sa.Column("base", Bytes),
    sqlite_with_rowid=False,
)

# Trees, commits, tags and chunk lists with their bytes. `position` grows in the order in which they were
# recorded: everything an object names, and its base, stands before it. A fetch reads in that order.
records = sa.Table(
    "records",
    metadata,
    sa.Column("position", RowId, primary_key=True),
    sa.Column("repository_id", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("id", Bytes, nullable=False),
    sa.Column("encoding", sa.SmallInteger, nullable=False),
    sa.Column("raw_size", sa.BigInteger, nullable=False),
    sa.Column("base", Bytes),
    sa.Column("payload", Bytes, nullable=False),
    sa.Column("push_id", Bytes),
    sa.Column("recorded_at", Instant, nullable=False, server_default="0"),
    sa.UniqueConstraint("repository_id", "kind", "id"),
)

# What should be there and is not, found by a check; a push brings it back. `position` is that of the record.
missing_objects = sa.Table(
    "missing_objects",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("id", Bytes, primary_key=True),
    sa.Column("position", sa.BigInteger),
    sa.Column("found_at", Instant, nullable=False),
)

# Packs in the store that no row names any more, until they are deleted there. Whoever deletes one holds it
# until `leased_until`; a push that wants it back takes it if nobody does.
condemned_packs = sa.Table(
    "condemned_packs",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("digest", Bytes, primary_key=True),
    sa.Column("condemned_at", Instant, nullable=False),
    sa.Column("leased_until", Instant),
)

commits = sa.Table(
    "commits",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("id", Bytes, primary_key=True),
    sa.Column("tree_id", Bytes, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),  # 1 + the largest of its parents'; 1 for a root
    sa.Column("author_name", sa.Text, nullable=False),
    sa.Column("author_email", sa.Text, nullable=False),
    sa.Column("authored_at", Instant, nullable=False),
    sa.Column("committer_name", sa.Text, nullable=False),
    sa.Column("committer_email", sa.Text, nullable=False),
    sa.Column("committed_at", Instant, nullable=False),
    sa.Column("author_kind", sa.Text, nullable=False),
    sa.Column("agent_name", sa.Text),
    sa.Column("agent_model", sa.Text),
    sa.Column("agent_tool", sa.Text),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("signer_key", Bytes),
    one_of("author_kind", "human", "agent"),
)

commit_parents = sa.Table(
    "commit_parents",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("commit_id", Bytes, primary_key=True),
    sa.Column("position", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("parent_id", Bytes, nullable=False),
    sa.Column("parent_generation", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
