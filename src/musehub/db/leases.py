"""What only one process of a hub does at a time. A process that dies leaves a lease that runs out."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.bulk import insert_ignore
from musehub.db.instants import to_micros
from musehub.db.tables import leases


async def take_lease(
    conn: AsyncConnection, name: str, holder: str, now: datetime, until: datetime
) -> str | None:
    """Take a lease or extend one's own; returns who has it otherwise."""
    row = (name, holder, to_micros(until))
    if await insert_ignore(conn, leases, ("name", "holder", "until"), [row]):
        return None
    c = leases.c
    free = (c.name == name) & ((c.holder == holder) | (c.until <= now))
    if (await conn.execute(leases.update().where(free).values(holder=holder, until=until))).rowcount:
        return None
    found: str | None = await conn.scalar(sa.select(c.holder).where(c.name == name))
    return found or "another process"


async def end_lease(conn: AsyncConnection, name: str, holder: str) -> None:
    """Give a lease back, if it is still one's own."""
    c = leases.c
    await conn.execute(leases.delete().where(c.name == name, c.holder == holder))
