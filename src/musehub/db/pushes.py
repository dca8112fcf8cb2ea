"""Pushes: their receipts and timelines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.bulk import insert_ignore
from musehub.db.instants import to_micros
from musehub.db.tables import pushes, users

RECEIVING = "receiving"
DONE = "done"
FAILED = "failed"


class PushRow(NamedTuple):
    """A push; `result` is the receipt when it is done, the error when it failed."""

    id: bytes
    user: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    result: dict[str, Any] | None
    timeline: dict[str, Any] | None
    commit_count: int
    tree_count: int
    blob_count: int
    received_bytes: int
    user_kind: str = "human"


_COLUMNS = (
    pushes.c.id,
    users.c.name,
    pushes.c.state,
    pushes.c.started_at,
    pushes.c.finished_at,
    pushes.c.result,
    pushes.c.timeline,
    pushes.c.commit_count,
    pushes.c.tree_count,
    pushes.c.blob_count,
    pushes.c.received_bytes,
    users.c.kind,
)


async def find_push(conn: AsyncConnection, repository_id: int, push_id: bytes) -> PushRow | None:
    query = (
        sa.select(*_COLUMNS)
        .join_from(pushes, users, users.c.id == pushes.c.user_id)
        .where(pushes.c.repository_id == repository_id, pushes.c.id == push_id)
    )
    row = (await conn.execute(query)).first()
    return PushRow._make(row) if row is not None else None


async def find_pusher(conn: AsyncConnection, repository_id: int, push_id: bytes) -> int | None:
    """The id of the user whose push it was."""
    c = pushes.c
    query = sa.select(c.user_id).where(c.repository_id == repository_id, c.id == push_id)
    return (await conn.execute(query)).scalar()


async def lock_push(conn: AsyncConnection, repository_id: int, push_id: bytes) -> PushRow | None:
    """As `find_push`; nobody else changes the row before this transaction ends."""
    if conn.dialect.name == "postgresql":
        this = (pushes.c.repository_id == repository_id) & (pushes.c.id == push_id)
        await conn.execute(sa.select(1).where(this).with_for_update())
    return await find_push(conn, repository_id, push_id)


async def list_pushes(
    conn: AsyncConnection, repository_id: int, *, limit: int, offset: int = 0
) -> list[PushRow]:
    """Newest first."""
    query = (
        sa.select(*_COLUMNS)
        .join_from(pushes, users, users.c.id == pushes.c.user_id)
        .where(pushes.c.repository_id == repository_id)
        .order_by(pushes.c.started_at.desc(), pushes.c.id)
        .limit(limit)
        .offset(offset)
    )
    return [PushRow._make(row) for row in await conn.execute(query)]


async def begin_push(
    conn: AsyncConnection, repository_id: int, push_id: bytes, user_id: int, started_at: datetime
) -> None:
    """Note that a push is being received; a finished one stays as it is."""
    await insert_ignore(
        conn,
        pushes,
        ("repository_id", "id", "user_id", "state", "started_at"),
        [(repository_id, push_id, user_id, RECEIVING, to_micros(started_at))],
    )


async def finish_push(
    conn: AsyncConnection, repository_id: int, push_id: bytes, values: Mapping[str, Any]
) -> None:
    await conn.execute(
        pushes.update()
        .where(pushes.c.repository_id == repository_id, pushes.c.id == push_id)
        .values(**values)
    )
