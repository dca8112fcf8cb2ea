"""Queries of clean-up: reading all of a repository in pages, removing sets of rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from muse.objects.ids import Kind
from muse.packs.record import Record
from musehub.db.blobs import BlobRow
from musehub.db.bulk import ids_relation, insert_ignore
from musehub.db.engine import Database
from musehub.db.history import delete_commit_rows
from musehub.db.state import Totals
from musehub.db.tables import (
    blobs,
    packs,
    records,
    repositories,
    users,
)

PAGE_ROWS = 10_000


class RecordPlace(NamedTuple):
    kind: int
    id: bytes
    position: int
    base: bytes | None
    recorded_at: datetime


class PackFacts(NamedTuple):
    id: int
    digest: bytes
    size_bytes: int
    object_count: int
    created_at: datetime


_PLACE = (records.c.kind, records.c.id, records.c.position, records.c.base, records.c.recorded_at)
_BLOB = tuple(blobs.c[name] for name in BlobRow._fields)
_PACK = tuple(packs.c[name] for name in PackFacts._fields)


async def iter_record_places(database: Database, repository_id: int) -> AsyncIterator[list[RecordPlace]]:
    """All records in pages, each read in a short transaction of its own; ordered by kind and id."""
    c = records.c
    last: tuple[int, bytes] = (0, b"")
    while True:
        query = (
            sa.select(*_PLACE)
            .where(c.repository_id == repository_id, sa.tuple_(c.kind, c.id) > sa.tuple_(*last))
            .order_by(c.kind, c.id)
            .limit(PAGE_ROWS)
        )
        async with database.read("scan records") as conn:
            page = [RecordPlace._make(row) for row in await conn.execute(query)]
        if page:
            yield page
            last = (page[-1].kind, page[-1].id)
        if len(page) < PAGE_ROWS:
            return


async def iter_blob_rows(database: Database, repository_id: int) -> AsyncIterator[list[BlobRow]]:
    """The places of all blobs in pages, ordered by id."""
    last = b""
    while True:
        query = (
            sa.select(*_BLOB)
            .where(blobs.c.repository_id == repository_id, blobs.c.id > last)
            .order_by(blobs.c.id)
            .limit(PAGE_ROWS)
        )
        async with database.read("scan blobs") as conn:
            page = [BlobRow._make(row) for row in await conn.execute(query)]
        if page:
            yield page
            last = page[-1].id
        if len(page) < PAGE_ROWS:
            return


async def list_pack_facts(conn: AsyncConnection, repository_id: int, after: int = 0) -> list[PackFacts]:
    """Packs recorded after the one with this id, oldest first."""
    query = sa.select(*_PACK).where(packs.c.repository_id == repository_id, packs.c.id > after)
    return [PackFacts._make(row) for row in await conn.execute(query.order_by(packs.c.id))]


async def list_repository_ids(conn: AsyncConnection) -> list[tuple[int, str]]:
    """Ids and full names of all repositories."""
    query = sa.select(repositories.c.id, users.c.name, repositories.c.name).join_from(
        repositories, users, users.c.id == repositories.c.owner_id
    )
    return [(row[0], f"{row[1]}/{row[2]}") for row in await conn.execute(query.order_by(repositories.c.id))]


async def find_last_position(conn: AsyncConnection, repository_id: int) -> int:
    """A position that every record has at most, and none that is recorded later.

    The caller has locked the repository. PostgreSQL never gives a number twice, so the largest of all will
    do; SQLite may, once the last rows were deleted, so there it is the largest of this repository.
    """
    query = sa.select(sa.func.max(records.c.position))
    if conn.dialect.name != "postgresql":
        query = query.where(records.c.repository_id == repository_id)
    return await conn.scalar(query) or 0


async def list_records_after(conn: AsyncConnection, repository_id: int, position: int) -> list[RecordPlace]:
    c = records.c
    query = sa.select(*_PLACE).where(c.position > position, c.repository_id == repository_id)
    return [RecordPlace._make(row) for row in await conn.execute(query.order_by(c.position))]


async def list_blobs_after(conn: AsyncConnection, repository_id: int, pack_id: int) -> list[BlobRow]:
    """Blobs in packs recorded after that one; reads all blobs of the repository."""
    query = sa.select(*_BLOB).where(blobs.c.repository_id == repository_id, blobs.c.pack_id > pack_id)
    return [BlobRow._make(row) for row in await conn.execute(query)]


async def delete_records(
    conn: AsyncConnection, repository_id: int, kind: Kind, ids: Sequence[bytes]
) -> Totals:
    """Remove records, of commits with their rows; returns what that freed.

    What the walk over commits found stays: a commit that is pushed again must not be counted twice.
    """
    if not ids:
        return Totals(0, 0)
    wanted = ids_relation(conn, ids)
    c = records.c
    deleted = (
        records.delete()
        .where(c.repository_id == repository_id, c.kind == int(kind), c.id.in_(sa.select(wanted.c.id)))
        .returning(sa.func.length(c.payload))
    )
    sizes = list((await conn.execute(deleted)).scalars())
    if kind is Kind.COMMIT:
        await delete_commit_rows(conn, repository_id, ids)
    return Totals(sum(sizes), len(sizes))


async def sum_payloads(conn: AsyncConnection, repository_id: int, kind: Kind, ids: Sequence[bytes]) -> int:
    wanted = ids_relation(conn, ids)
    query = (
        sa.select(sa.func.sum(sa.func.length(records.c.payload)))
        .join_from(wanted, records, records.c.id == wanted.c.id)
        .where(records.c.repository_id == repository_id, records.c.kind == int(kind))
    )
    return int(await conn.scalar(query) or 0)


async def replace_record(conn: AsyncConnection, repository_id: int, object_id: bytes, record: Record) -> int:
    """Store the same object in another encoding, in its place; returns by how many bytes it grew."""
    c = records.c
    this = (c.repository_id == repository_id) & (c.kind == int(record.kind)) & (c.id == object_id)
    before = await conn.scalar(sa.select(sa.func.length(c.payload)).where(this))
    if before is None:
        return 0
    values = {"encoding": int(record.encoding), "base": record.base, "payload": bytes(record.payload)}
    await conn.execute(records.update().where(this).values(**values))
    return len(record.payload) - int(before)


async def delete_blobs(conn: AsyncConnection, repository_id: int, ids: Sequence[bytes]) -> int:
    if not ids:
        return 0
    wanted = ids_relation(conn, ids)
    this = (blobs.c.repository_id == repository_id) & blobs.c.id.in_(sa.select(wanted.c.id))
    # SQLite counts no rows of a statement that begins with WITH.
    return len((await conn.execute(blobs.delete().where(this).returning(blobs.c.raw_size))).all())


async def delete_packs(conn: AsyncConnection, repository_id: int, ids: Sequence[int]) -> int:
    """Remove rows of packs; returns their bytes."""
    this = (packs.c.repository_id == repository_id) & packs.c.id.in_(list(ids))
    sizes = (await conn.execute(packs.delete().where(this).returning(packs.c.size_bytes))).scalars()
    return sum(sizes)


async def switch_pack(
    conn: AsyncConnection, repository_id: int, old: PackFacts, new: PackFacts, rows: Sequence[BlobRow]
) -> bool:
    """Let a pack be another file that holds `rows`; False if it is not the old one any more."""
    c = packs.c
    taken = sa.exists().where(c.repository_id == repository_id, c.digest == new.digest)
    if await conn.scalar(sa.select(taken)):
        return False
    result = await conn.execute(
        packs.update()
        .where(c.id == old.id, c.repository_id == repository_id, c.digest == old.digest)
        .values(digest=new.digest, size_bytes=new.size_bytes, object_count=new.object_count)
    )
    if result.rowcount != 1:
        return False
    await delete_blobs(conn, repository_id, [row.id for row in rows])
    await insert_ignore(
        conn, blobs, ("repository_id", *BlobRow._fields), [(repository_id, *row) for row in sorted(rows)]
    )
    return True
