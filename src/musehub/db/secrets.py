"""Random keys that all processes of one hub share, made once and kept in the database."""

from __future__ import annotations

import os
from datetime import datetime

import sqlalchemy as sa

from musehub.db.bulk import insert_ignore
from musehub.db.engine import Database
from musehub.db.instants import to_micros
from musehub.db.tables import secrets


async def get_secret(database: Database, name: str, now: datetime) -> bytes:
    """The 32-byte secret called `name`, made at first use; all callers get the same one."""
    query = sa.select(secrets.c.value).where(secrets.c.name == name)
    async with database.read("get secret") as conn:
        found = (await conn.execute(query)).scalar_one_or_none()
    if found is None:
        async with database.transaction("make secret") as conn:
            row = (name, os.urandom(32), to_micros(now))
            await insert_ignore(conn, secrets, ["name", "value", "created_at"], [row])
            found = (await conn.execute(query)).scalar_one()
    return bytes(found)
