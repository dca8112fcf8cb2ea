"""Queries about users."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.tables import users


async def insert_user(conn: AsyncConnection, **values: Any) -> int:
    """Add a user and return its id; IntegrityError if the name is taken."""
    result = await conn.execute(users.insert().values(**values).returning(users.c.id))
    return int(result.scalar_one())


async def find_user(conn: AsyncConnection, name: str) -> sa.RowMapping | None:
    return (await conn.execute(sa.select(users).where(users.c.name == name))).mappings().first()


async def list_users(conn: AsyncConnection, after: str, limit: int) -> list[sa.RowMapping]:
    """The users whose names come after `after`, by name."""
    query = sa.select(users).where(users.c.name > after).order_by(users.c.name).limit(limit)
    return list((await conn.execute(query)).mappings())


async def count_users(conn: AsyncConnection) -> int:
    return int((await conn.execute(sa.select(sa.func.count()).select_from(users))).scalar_one())


async def update_user(conn: AsyncConnection, user_id: int, **values: Any) -> None:
    await conn.execute(users.update().where(users.c.id == user_id).values(**values))


async def disable_user(conn: AsyncConnection, user_id: int, now: datetime) -> None:
    """Disable the user, unless that was done before."""
    statement = users.update().where(users.c.id == user_id, users.c.disabled_at.is_(None))
    await conn.execute(statement.values(disabled_at=now))
