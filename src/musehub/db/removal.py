"""Removes a repository: at once for everybody to see, row by row where there may be very many.

Which tables there are is asked of the metadata, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.engine import Database
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
    """Remove the repository and what refers to it: a few rows each. `remove_rows` does the rest."""
    sent = sa.select(webhook_deliveries.c.id).where(webhook_deliveries.c.repository_id == repository_id)
    await conn.execute(webhook_attempts.delete().where(webhook_attempts.c.delivery_id.in_(sent)))
    for table in _tables()[0]:
        await conn.execute(table.delete().where(table.c[COLUMN] == repository_id))
    await conn.execute(repositories.delete().where(repositories.c.id == repository_id))


async def remove_rows(database: Database, repository_id: int) -> None:
    """Remove the rows of a repository that is gone, in short transactions; two may do it at once.

    Ids of repositories are never used again, so what is left after a crash belongs to nobody.
    """
    while True:
        async with database.transaction("remove rows") as conn:
            if not await _remove_some_rows(conn, repository_id):
                return


async def find_remains(conn: AsyncConnection) -> set[int]:
    """Ids of repositories that are gone and still have rows: their deletion was cut off, or a job came late.

    Looks at one row of each repository in each table that has an index for that.
    """
    found: set[int] = set()
    for table in _tables()[1]:
        ids = _walk_ids(table) if _is_indexed(table) else sa.select(table.c[COLUMN]).distinct().subquery()
        (number,) = ids.c
        lost = ~sa.exists().where(repositories.c.id == number)
        found.update((await conn.execute(sa.select(number).where(number.is_not(None), lost))).scalars())
    return found


def _is_indexed(table: sa.Table) -> bool:
    unique = [each.columns for each in table.constraints if isinstance(each, sa.UniqueConstraint)]
    indexes = [table.primary_key.columns, *unique, *(index.columns for index in table.indexes)]
    return any(next(iter(columns)).name == COLUMN for columns in indexes)


def _walk_ids(table: sa.Table) -> sa.CTE:
    """Each id once and NULL at the end: from one to the next larger, for no database skips by itself."""
    column = table.c[COLUMN]
    ids = sa.select(sa.func.min(column).label("id")).cte("ids", recursive=True)
    larger = sa.select(sa.func.min(column)).where(column > ids.c.id).scalar_subquery()
    return ids.union_all(sa.select(larger).where(ids.c.id.is_not(None)))


async def _remove_some_rows(conn: AsyncConnection, repository_id: int) -> bool:
    """Remove some thousand rows; False when none is left but those that somebody else is removing."""
    for table in _tables()[1]:
        key = list(table.primary_key)
        some = sa.select(*key).where(table.c[COLUMN] == repository_id).limit(ROWS_AT_ONCE)
        some = some.with_for_update(skip_locked=True)
        chosen = sa.tuple_(*key).in_(some) if len(key) > 1 else key[0].in_(some)
        result = await conn.execute(table.delete().where(chosen))
        if result.rowcount:
            return True
    return False
