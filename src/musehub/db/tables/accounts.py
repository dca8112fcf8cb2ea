"""Users, their keys and tokens, and what limits logins."""

from __future__ import annotations

import sqlalchemy as sa

from musehub.db.tables.columns import Bytes, Instant, RowId, metadata, one_of

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
    one_of("kind", "human", "agent"),
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
    one_of("scope", "read", "write", "admin"),
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
