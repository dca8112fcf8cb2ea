"""What jobs found out about repositories: one small value per kind."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.bulk import insert_ignore
from musehub.db.instants import to_micros
from musehub.db.tables import insights


class Insight(NamedTuple):
    value: dict[str, Any]
    computed_at: datetime


async def find_insight(conn: AsyncConnection, repository_id: int, kind: str) -> Insight | None:
    c = insights.c
    query = sa.select(c.value, c.computed_at).where(c.repository_id == repository_id, c.kind == kind)
    row = (await conn.execute(query)).first()
    return Insight._make(row) if row is not None else None


async def list_insights(conn: AsyncConnection, repository_id: int) -> dict[str, Insight]:
    """All of a repository by kind, in one statement."""
    c = insights.c
    query = sa.select(c.kind, c.value, c.computed_at).where(c.repository_id == repository_id)
    return {kind: Insight(value, at) for kind, value, at in await conn.execute(query)}


async def save_insight(
    conn: AsyncConnection, repository_id: int, kind: str, value: dict[str, Any], now: datetime
) -> None:
    c = insights.c
    await conn.execute(insights.delete().where(c.repository_id == repository_id, c.kind == kind))
    await insert_ignore(
        conn,
        insights,
        ("repository_id", "kind", "value", "computed_at"),
        [(repository_id, kind, json.dumps(value), to_micros(now))],
    )


async def list_stale(conn: AsyncConnection, kind: str, before: datetime, limit: int) -> list[int]:
    """Repositories whose value of that kind was computed before then, oldest first."""
    c = insights.c
    query = (
        sa.select(c.repository_id)
        .where(c.kind == kind, c.computed_at < before)
        .order_by(c.computed_at)
        .limit(limit)
    )
    return list((await conn.execute(query)).scalars())
