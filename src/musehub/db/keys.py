"""Queries about public keys and the challenges that prove them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.bulk import insert_ignore
from musehub.db.instants import to_micros
from musehub.db.tables import collaborators, keys, repositories, used_challenges, users


async def insert_key(conn: AsyncConnection, **values: Any) -> int:
    """Add a key and return its id; IntegrityError if somebody has that key."""
    result = await conn.execute(keys.insert().values(**values).returning(keys.c.id))
    return int(result.scalar_one())


async def find_user_by_key(conn: AsyncConnection, public_key: bytes) -> sa.RowMapping | None:
    """The user who has that key, if it was not revoked."""
    query = sa.select(users).join(keys, keys.c.user_id == users.c.id)
    query = query.where(keys.c.public_key == public_key, keys.c.revoked_at.is_(None))
    return (await conn.execute(query)).mappings().first()


async def list_keys(conn: AsyncConnection, user_id: int) -> list[sa.RowMapping]:
    """All keys of a user that were not revoked, oldest first."""
    query = sa.select(keys).where(keys.c.user_id == user_id, keys.c.revoked_at.is_(None))
    return list((await conn.execute(query.order_by(keys.c.id))).mappings())


async def list_writer_keys(conn: AsyncConnection, repository_id: int) -> list[bytes]:
    """The keys, not revoked, of all users who may write to a repository and are not disabled."""
    owner = sa.exists().where(repositories.c.id == repository_id, repositories.c.owner_id == users.c.id)
    writer = sa.exists().where(
        collaborators.c.repository_id == repository_id,
        collaborators.c.user_id == users.c.id,
        collaborators.c.role == "write",
    )
    query = (
        sa.select(keys.c.public_key)
        .join_from(keys, users, users.c.id == keys.c.user_id)
        .where(
            keys.c.revoked_at.is_(None),
            users.c.disabled_at.is_(None),
            owner | writer | users.c.is_admin.is_(True),
        )
    )
    return list((await conn.execute(query)).scalars())


async def revoke_key(conn: AsyncConnection, user_id: int, key_id: int, now: datetime) -> bool:
    """Whether the user had such a key that was not revoked yet."""
    statement = keys.update().where(
        keys.c.user_id == user_id, keys.c.id == key_id, keys.c.revoked_at.is_(None)
    )
    return (await conn.execute(statement.values(revoked_at=now))).rowcount > 0


async def use_challenge(conn: AsyncConnection, nonce: bytes, expires_at: datetime, now: datetime) -> bool:
    """Whether this is the first use of a nonce; forgets those that have expired."""
    await conn.execute(used_challenges.delete().where(used_challenges.c.expires_at < now))
    row = (nonce, to_micros(expires_at))
    return await insert_ignore(conn, used_challenges, ["nonce", "expires_at"], [row]) == 1
