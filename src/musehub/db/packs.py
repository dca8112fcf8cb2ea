"""Packs of a repository: which there are. Where in them its blobs lie is in `blobs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.bulk import ids_relation, insert_ignore
from musehub.db.tables import packs


class PackRow(NamedTuple):
    id: int
    digest: bytes
    size_bytes: int
    object_count: int


PACK_COLUMNS = tuple(packs.c[name] for name in PackRow._fields)


async def find_pack(conn: AsyncConnection, repository_id: int, digest: bytes) -> PackRow | None:
    query = sa.select(*PACK_COLUMNS).where(packs.c.repository_id == repository_id, packs.c.digest == digest)
    row = (await conn.execute(query)).first()
    return PackRow(*row) if row is not None else None


async def find_packs(conn: AsyncConnection, repository_id: int, digests: Sequence[bytes]) -> list[PackRow]:
    """Those of the packs with these digests that are recorded here, oldest first."""
    if not digests:
        return []
    wanted = ids_relation(conn, digests)
    query = (
        sa.select(*PACK_COLUMNS)
        .join_from(wanted, packs, packs.c.digest == wanted.c.id)
        .where(packs.c.repository_id == repository_id)
        .order_by(packs.c.id)
    )
    return [PackRow(*row) for row in await conn.execute(query)]


async def list_packs(
    conn: AsyncConnection, repository_id: int, *, after: int = 0, limit: int | None = None
) -> list[PackRow]:
    """Packs of a repository, oldest first, from the one after that id on."""
    query = (
        sa.select(*PACK_COLUMNS)
        .where(packs.c.repository_id == repository_id, packs.c.id > after)
        .order_by(packs.c.id)
        .limit(limit)
    )
    return [PackRow(*row) for row in await conn.execute(query)]


async def list_all_packs(conn: AsyncConnection) -> list[tuple[int, bytes, int]]:
    """(repository, digest, size) of every pack of the hub."""
    rows = await conn.execute(sa.select(packs.c.repository_id, packs.c.digest, packs.c.size_bytes))
    return [(row[0], row[1], row[2]) for row in rows]


async def insert_pack(
    conn: AsyncConnection,
    repository_id: int,
    digest: bytes,
    size_bytes: int,
    object_count: int,
    push_id: bytes,
    micros: int,
) -> tuple[int, bool]:
    """Record a pack unless it is; returns its id and whether it was new."""
    count = await insert_ignore(
        conn,
        packs,
        ("repository_id", "digest", "size_bytes", "object_count", "created_at", "push_id"),
        [(repository_id, digest, size_bytes, object_count, micros, push_id)],
    )
    pack = await find_pack(conn, repository_id, digest)
    assert pack is not None
    return pack.id, count > 0
