"""Webhooks and what was delivered to them."""

from __future__ import annotations

import sqlalchemy as sa

from musehub.db.tables.columns import Bytes, Instant, Json, RowId, metadata, one_of

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
    one_of("state", "waiting", "delivered", "failed"),
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
