"""Packs that were found damaged, and were not found well since."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.bulk import insert_ignore
from musehub.db.instants import to_micros
from musehub.db.tables import integrity_problems


class ProblemRow(NamedTuple):
    pack_digest: bytes
    problem: str
    found_at: datetime
    seen_at: datetime


async def save_problem(
    conn: AsyncConnection, repository_id: int, digest: bytes, problem: str | None, now: datetime
) -> None:
    """Note what is wrong with a pack, or (None) that nothing is."""
    c = integrity_problems.c
    this = (c.repository_id == repository_id) & (c.pack_digest == digest)
    if problem is None:
        await conn.execute(integrity_problems.delete().where(this))
        return
    seen = await conn.execute(integrity_problems.update().where(this).values(problem=problem, seen_at=now))
    if not seen.rowcount:
        micros = to_micros(now)
        await insert_ignore(
            conn,
            integrity_problems,
            ("repository_id", "pack_digest", "problem", "found_at", "seen_at"),
            [(repository_id, digest, problem, micros, micros)],
        )


async def list_problems(conn: AsyncConnection, repository_id: int) -> list[ProblemRow]:
    c = integrity_problems.c
    query = (
        sa.select(c.pack_digest, c.problem, c.found_at, c.seen_at)
        .where(c.repository_id == repository_id)
        .order_by(c.found_at)
        .limit(1000)
    )
    return [ProblemRow._make(row) for row in await conn.execute(query)]
