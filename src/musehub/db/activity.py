"""What happened in repositories."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.bulk import insert_ignore
from musehub.db.instants import to_micros
from musehub.db.tables import activity, users


class ActivityRow(NamedTuple):
    id: int
    kind: str
    subject: bytes
    user: str
    user_kind: str
    value: dict[str, Any]
    created_at: datetime


async def insert_activity(
    conn: AsyncConnection,
    repository_id: int,
    kind: str,
    subject: bytes,
    user_id: int,
    value: dict[str, Any],
    now: datetime,
) -> None:
    """Note once that something happened; the same kind and subject again changes nothing."""
    await insert_ignore(
        conn,
        activity,
        ("repository_id", "kind", "subject", "user_id", "value", "created_at"),
        [(repository_id, kind, subject, user_id, json.dumps(value), to_micros(now))],
    )


async def list_activity(
    conn: AsyncConnection, repository_id: int, *, limit: int, before: int | None
) -> list[ActivityRow]:
    """Newest first; `before` is the id to go on from."""
    c = activity.c
    query = (
        sa.select(c.id, c.kind, c.subject, users.c.name, users.c.kind, c.value, c.created_at)
        .join_from(activity, users, users.c.id == c.user_id)
        .where(c.repository_id == repository_id)
        # The index of the repository; by id alone, the rows of all others would be read on the way.
        .order_by(c.created_at.desc(), c.id.desc())
        .limit(limit)
    )
    if before is not None:
        last = sa.select(c.created_at).where(c.id == before).scalar_subquery()
        query = query.where(sa.tuple_(c.created_at, c.id) < sa.tuple_(last, before))
    return [ActivityRow._make(row) for row in await conn.execute(query)]
