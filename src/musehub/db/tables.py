"""Every table of the hub.

Conventions: object ids, digests and keys are raw bytes (32). Instants are microseconds since 1970
in UTC, in a BIGINT on both databases, so that bulk rows need no conversion per database; queries
built with SQLAlchemy see aware `datetime` values through `Instant`. The four tables that receive
rows by the hundred thousand (blobs, records, commits, commit_parents) carry no foreign keys: the
push code checks closure with set queries, and a trigger per row would double the cost.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from musehub.db.instants import from_micros, to_micros


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else from_micros(value)


# SQLite numbers rows by itself only in a column declared INTEGER PRIMARY KEY.
RowId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
Bytes = sa.LargeBinary

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, *values: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


# --- accounts -----------------------------------------------------------------------------------

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("display_name", sa.Text, nullable=False, server_default=""),
    sa.Column("email", sa.Text, nullable=False, server_default=""),
    sa.Column("kind", sa.Text, nullable=False, server_default="human"),
    sa.Column("password_hash", sa.Text),
    sa.Column("is_admin", sa.Boolean, nullable=False, server_default=sa.text("FALSE")),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("disabled_at", Instant),
    sa.Column("quota_bytes", sa.BigInteger),  # null: as the settings say; 0: unlimited
    sa.Column("quota_objects", sa.BigInteger),
    _one_of("kind", "human", "agent"),
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("public_key", Bytes, nullable=False, unique=True),
    sa.Column("label", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("revoked_at", Instant),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("token_hash", Bytes, nullable=False, unique=True),
    sa.Column("label", sa.Text, nullable=False, server_default=""),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("repository_id", sa.BigInteger),  # null: every repository of the user
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
    sa.Column("last_used_at", Instant),
    sa.Column("revoked_at", Instant),
    _one_of("scope", "read", "write", "admin"),
)

login_attempts = sa.Table(
    "login_attempts",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False),  # `user:NAME`, `address:IP`, `from:IP NAME`
    sa.Column("failed_at", Instant, nullable=False),
    sa.Index("ix_login_attempts_subject_failed_at", "subject", "failed_at"),
)

used_challenges = sa.Table(
    "used_challenges",
    metadata,
    sa.Column("nonce", Bytes, primary_key=True),
    sa.Column("expires_at", Instant, nullable=False),
)

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", Bytes, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)

# --- repositories -------------------------------------------------------------------------------

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
    _one_of("visibility", "public", "private"),
)

collaborators = sa.Table(
    "collaborators",
    metadata,
    sa.Column("repository_id", sa.BigInteger, sa.ForeignKey("repositories.id"), primary_key=True),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), primary_key=True, index=True),
    sa.Column("role", sa.Text, nullable=False),
    _one_of("role", "read", "write"),
)

refs = sa.Table(
    "refs",
    metadata,
    sa.Column("repository_id", sa.BigInteger, sa.ForeignKey("repositories.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),  # `heads/main`, `tags/v1`
    sa.Column("target", Bytes, nullable=False),
    sa.Column("target_kind", sa.SmallInteger, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

# --- objects ------------------------------------------------------------------------------------

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
    _one_of("author_kind", "human", "agent"),
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

# --- pushes and what follows them ---------------------------------------------------------------

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
    _one_of("state", "receiving", "done", "failed"),
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

# --- what the jobs found ------------------------------------------------------------------------

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
    _one_of("change", "added", "changed", "removed"),
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

# What one process of the hub does and no other until then.
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("until", Instant, nullable=False),
)

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("repository_id", sa.BigInteger, sa.ForeignKey("repositories.id"), nullable=False, index=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("events", Json, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("webhook_id", sa.BigInteger, nullable=False),
    sa.Column("repository_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("subject", Bytes, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.UniqueConstraint("webhook_id", "event", "subject"),
    _one_of("state", "waiting", "delivered", "failed"),
)

webhook_attempts = sa.Table(
    "webhook_attempts",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("delivery_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("duration_s", sa.Float, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("error", sa.Text),
    sa.Column("response", sa.Text, nullable=False),
)
