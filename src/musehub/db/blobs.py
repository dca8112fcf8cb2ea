"""Where the blobs of a repository lie: in which of its packs, and where in that.

All queries work on sets of ids of any size, in one statement each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.bulk import ids_relation, insert_columns
from musehub.db.objects import chains_relation
from musehub.db.packs import PACK_COLUMNS, PackRow
from musehub.db.tables import blobs, packs


class BlobRow(NamedTuple):
    """Where a blob lies: `offset` of its record in the pack, sizes of payload and object."""

    id: bytes
    pack_id: int
    offset: int
    stored_size: int
    raw_size: int
    encoding: int
    base: bytes | None


class PackColumns(NamedTuple):
    """The blobs of one pack, column by column, sorted by id: rows go in fastest in the order of their key."""

    id: Sequence[bytes]
    offset: Sequence[int]
    stored_size: Sequence[int]
    raw_size: Sequence[int]
    encoding: Sequence[int]
    base: Sequence[bytes | None]


class PackShare(NamedTuple):
    """How many of the wanted blobs lie in a pack, their stored bytes, and the packs of their bases."""

    pack_id: int
    base_pack_id: int | None
    blob_count: int
    stored_bytes: int


_BLOB = tuple(blobs.c[name] for name in BlobRow._fields)
_PACK_OF_BLOB = PACK_COLUMNS[1:]


async def find_blob_sizes(
    conn: AsyncConnection, repository_id: int, ids: Sequence[bytes]
) -> dict[bytes, int]:
    """The sizes of those of these blobs that are recorded."""
    wanted = ids_relation(conn, ids)
    c = blobs.c
    query = (
        sa.select(c.id, c.raw_size)
        .join_from(wanted, blobs, c.id == wanted.c.id)
        .where(c.repository_id == repository_id)
    )
    return {row[0]: row[1] for row in await conn.execute(query)}


async def insert_pack_blobs(
    conn: AsyncConnection, repository_id: int, pack_id: int, objects: PackColumns
) -> int:
    """Record where the blobs of a pack lie; those recorded already stay where they are. Returns how many
    were new.
    """
    constants = {"repository_id": repository_id, "pack_id": pack_id}
    return await insert_columns(conn, blobs, constants, objects._asdict())


async def load_blob_chains(
    conn: AsyncConnection, repository_id: int, ids: Sequence[bytes]
) -> tuple[dict[bytes, BlobRow], dict[int, PackRow]]:
    """The places of these blobs and of all that they are deltas of, and the packs that hold them."""
    if not ids:
        return {}, {}
    c = blobs.c
    here = c.repository_id == repository_id
    found = chains_relation(conn, blobs, here, ids)
    query = (
        sa.select(*_BLOB, *_PACK_OF_BLOB)
        .join_from(found, blobs, c.id == found.c.id)
        .join(packs, packs.c.id == c.pack_id)
        .where(here)
    )
    rows, holders = _places(await conn.execute(query))
    return {row.id: row for row in rows}, holders


async def load_blob_places(
    conn: AsyncConnection, repository_id: int, ids: Sequence[bytes]
) -> tuple[list[BlobRow], dict[int, PackRow]]:
    """The places of those of `ids` that are recorded, by pack and offset, and the packs that hold them."""
    if not ids:
        return [], {}
    wanted = ids_relation(conn, ids)
    query = (
        sa.select(*_BLOB, *_PACK_OF_BLOB)
        .join_from(wanted, blobs, blobs.c.id == wanted.c.id)
        .join(packs, packs.c.id == blobs.c.pack_id)
        .where(blobs.c.repository_id == repository_id)
        .order_by(blobs.c.pack_id, blobs.c.offset)
    )
    return _places(await conn.execute(query))


def _places(found: Iterable[Sequence[Any]]) -> tuple[list[BlobRow], dict[int, PackRow]]:
    """Rows of `_BLOB` and `_PACK_OF_BLOB`, taken apart."""
    rows: list[BlobRow] = []
    holders: dict[int, PackRow] = {}
    for row in found:
        rows.append(BlobRow(*row[:7]))
        holders[row[1]] = PackRow(row[1], row[7], row[8], row[9])
    return rows, holders


async def load_blob_rows(conn: AsyncConnection, repository_id: int, ids: Sequence[bytes]) -> list[BlobRow]:
    """The places of those of `ids` that are recorded, in no order."""
    if not ids:
        return []
    wanted = ids_relation(conn, ids)
    c = blobs.c
    query = (
        sa.select(*_BLOB)
        .join_from(wanted, blobs, c.id == wanted.c.id)
        .where(c.repository_id == repository_id)
    )
    return [BlobRow(*row) for row in await conn.execute(query)]


async def sum_blobs_by_pack(
    conn: AsyncConnection, repository_id: int, ids: Sequence[bytes]
) -> list[PackShare]:
    """How the wanted blobs are spread over packs, and on which packs their bases make them depend."""
    if not ids:
        return []
    wanted = ids_relation(conn, ids)
    blob, base = blobs.alias("blob"), blobs.alias("base")
    query = (
        sa.select(
            blob.c.pack_id,
            base.c.pack_id.label("base_pack_id"),
            sa.func.count(),
            sa.cast(sa.func.sum(blob.c.stored_size), sa.BigInteger),
        )
        .select_from(wanted)
        .join(blob, (blob.c.id == wanted.c.id) & (blob.c.repository_id == repository_id))
        .outerjoin(base, (base.c.id == blob.c.base) & (base.c.repository_id == repository_id))
        .group_by(blob.c.pack_id, base.c.pack_id)
    )
    return [PackShare(*row) for row in await conn.execute(query)]


async def find_blob_places(
    conn: AsyncConnection, repository_id: int, ids: Sequence[bytes]
) -> list[tuple[int, int, bytes]]:
    """(pack id, offset, id) of those of `ids` that are recorded."""
    if not ids:
        return []
    wanted = ids_relation(conn, ids)
    query = (
        sa.select(blobs.c.pack_id, blobs.c.offset, blobs.c.id)
        .join_from(wanted, blobs, blobs.c.id == wanted.c.id)
        .where(blobs.c.repository_id == repository_id)
    )
    return [(row[0], row[1], row[2]) for row in await conn.execute(query)]
