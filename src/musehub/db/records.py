"""Records of a repository: its trees, commits, tags and chunk lists, bytes and all.

All queries work on sets of ids of any size, in one statement each.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from muse.objects.ids import Kind
from muse.packs.record import Record
from musehub.db.bulk import ids_relation, insert_ignore
from musehub.db.objects import chains_relation
from musehub.db.state import Totals
from musehub.db.tables import records

RECORD_COLUMNS = (
    "repository_id",
    "kind",
    "id",
    "encoding",
    "raw_size",
    "base",
    "payload",
    "push_id",
    "recorded_at",
)


async def load_records(
    conn: AsyncConnection, repository_id: int, kind: Kind, ids: Sequence[bytes]
) -> list[tuple[bytes, Record]]:
    """The records with these ids, in the order in which they were recorded: bases first."""
    if not ids:
        return []
    wanted = ids_relation(conn, ids)
    c = records.c
    query = (
        sa.select(c.id, c.kind, c.encoding, c.raw_size, c.base, c.payload)
        .join_from(wanted, records, c.id == wanted.c.id)
        .where(c.repository_id == repository_id, c.kind == int(kind))
        .order_by(c.position)
    )
    return [(row[0], Record(*row[1:])) for row in await conn.execute(query)]


async def load_chains(
    conn: AsyncConnection, repository_id: int, kind: Kind, ids: Sequence[bytes]
) -> dict[bytes, Record]:
    """The records with these ids and all that they are deltas of, at most `MAX_CHAIN` deep."""
    if not ids:
        return {}
    c = records.c
    this = (c.repository_id == repository_id) & (c.kind == int(kind))
    found = chains_relation(conn, records, this, ids)
    query = (
        sa.select(c.id, c.kind, c.encoding, c.raw_size, c.base, c.payload)
        .join_from(found, records, c.id == found.c.id)
        .where(this)
    )
    return {row[0]: Record(*row[1:]) for row in await conn.execute(query)}


async def find_positions(
    conn: AsyncConnection, repository_id: int, kind: Kind, ids: Sequence[bytes]
) -> list[tuple[int, bytes]]:
    """(position, id) of those of `ids` that are recorded."""
    if not ids:
        return []
    wanted = ids_relation(conn, ids)
    query = (
        sa.select(records.c.position, records.c.id)
        .join_from(wanted, records, records.c.id == wanted.c.id)
        .where(records.c.repository_id == repository_id, records.c.kind == int(kind))
    )
    return [(row[0], row[1]) for row in await conn.execute(query)]


async def insert_records(
    conn: AsyncConnection,
    repository_id: int,
    push_id: bytes,
    rows: Sequence[tuple[bytes, Record]],
    micros: int,
) -> Totals:
    """Record objects in this order; those that are recorded already stay as they are.

    Returns how many were new and the bytes of their payloads; the caller has locked the repository.
    """
    values = [
        (repository_id, r.kind, object_id, r.encoding, r.raw_size, r.base, bytes(r.payload), push_id, micros)
        for object_id, r in rows
    ]
    count = await insert_ignore(conn, records, RECORD_COLUMNS, values)
    if count == len(values):
        return Totals(sum(len(value[6]) for value in values), count)
    if count == 0:
        return Totals(0, 0)
    # Some were there: under the lock, those that were not are the last ones of this repository.
    newest = (
        sa.select(records.c.payload)
        .where(records.c.repository_id == repository_id)
        .order_by(records.c.position.desc())
        .limit(count)
        .subquery()
    )
    size = await conn.scalar(sa.select(sa.func.sum(sa.func.length(newest.c.payload))))
    return Totals(int(size or 0), count)
