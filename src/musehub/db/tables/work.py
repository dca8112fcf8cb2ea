"""Pushes, the jobs that follow them, and who has what to himself."""

from __future__ import annotations

import sqlalchemy as sa

from musehub.db.tables.columns import Bytes, Instant, Json, RowId, metadata, one_of

pushes = sa.Table(
    "pushes",
    metadata,
    sa.Column("repository_id", sa.BigInteger, sa.ForeignKey("repositories.id"), primary_key=True),
    sa.Column("id", Bytes, primary_key=True),  # 16 bytes, chosen by the client
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant),
    sa.Column("result", Json),
    sa.Column("timeline", Json),
    sa.Column("commit_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("tree_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("blob_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("received_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Index("ix_pushes_repository_id_started_at", "repository_id", "started_at"),
    one_of("state", "receiving", "done", "failed"),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("repository_id", sa.BigInteger),
    sa.Column("payload", Json, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("run_after", Instant, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_error", sa.Text),
    sa.Column("done_at", Instant),  # when it left the queue, whichever way
    sa.Column("outcome", sa.Text),  # null while it waits or runs; a running job's `run_after` is its lease
    sa.Column("worker", sa.Text),
    sa.Index("ix_outbox_done_at_run_after", "done_at", "run_after"),
)

# What one process of the hub does and no other until then.
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("until", Instant, nullable=False),
)
