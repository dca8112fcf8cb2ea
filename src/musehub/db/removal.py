"""Removes a repository: at once for everybody to see, row by row where there may be very many.

Which tables there are is asked of the metadata, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.tables import metadata, repositories, webhook_attempts, webhook_deliveries

ROWS_AT_ONCE = 5_000
COLUMN = "repository_id"


def _tables() -> tuple[list[sa.Table], list[sa.Table]]:
    """Tables that refer to a repository by a foreign key, and those that just name it."""
    bound: list[sa.Table] = []
    loose: list[sa.Table] = []
    for table in reversed(metadata.sorted_tables):
        if COLUMN in table.c:
            (bound if table.c[COLUMN].foreign_keys else loose).append(table)
    return bound, loose


async def remove_repository(conn: AsyncConnection, repository_id: int) -> None:
    """Remove the repository and what refers to it: a few rows each. `remove_some_rows` does the rest."""
    sent = sa.select(webhook_deliveries.c.id).where(webhook_deliveries.c.repository_id == repository_id)
    await conn.execute(webhook_attempts.delete().where(webhook_attempts.c.delivery_id.in_(sent)))
    for table in _tables()[0]:
        await conn.execute(table.delete().where(table.c[COLUMN] == repository_id))
    await conn.execute(repositories.delete().where(repositories.c.id == repository_id))


async def remove_some_rows(conn: AsyncConnection, repository_id: int) -> bool:
    """Remove some thousand rows of a repository that is gone; False when none is left.

    Ids of repositories are never used again, so what is left after a crash belongs to nobody.
    """
    for table in _tables()[1]:
        key = list(table.primary_key)
        some = sa.select(*key).where(table.c[COLUMN] == repository_id).limit(ROWS_AT_ONCE)
        chosen = sa.tuple_(*key).in_(some) if len(key) > 1 else key[0].in_(some)
        result = await conn.execute(table.delete().where(chosen))
        if result.rowcount:
            return True
    return False
