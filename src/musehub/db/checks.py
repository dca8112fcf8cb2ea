"""Queries of the check of a repository, and of marking what it found missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from muse.objects.ids import Kind
from musehub.db.bulk import ids_relation, insert_ignore
from musehub.db.history import COMMIT_COLUMNS, PARENT_COLUMNS
from musehub.db.instants import to_micros
from musehub.db.state import Totals
from musehub.db.tables import (
    blobs,
    commit_parents,
    commits,
    missing_objects,
    packs,
    records,
    repositories,
)

Key = tuple[Kind, bytes]

SOME = 1_000
"""As many of one kind of problem are named."""


class MissingRow(NamedTuple):
    kind: int
    id: bytes
    found_at: datetime


async def list_missing(conn: AsyncConnection, repository_id: int) -> list[MissingRow]:
    m = missing_objects.c
    query = sa.select(m.kind, m.id, m.found_at).where(m.repository_id == repository_id).limit(SOME)
    return [MissingRow._make(row) for row in await conn.execute(query.order_by(m.kind, m.id))]


async def list_baseless_blobs(conn: AsyncConnection, repository_id: int) -> list[bytes]:
    """Blobs whose base or whose pack is not recorded."""
    return list((await conn.execute(_baseless_blobs(repository_id).limit(SOME))).scalars())


def _baseless_blobs(repository_id: int) -> sa.Select[Any]:
    base = blobs.alias("base")
    has_base = sa.exists().where(base.c.repository_id == repository_id, base.c.id == blobs.c.base)
    has_pack = sa.exists().where(packs.c.id == blobs.c.pack_id, packs.c.repository_id == repository_id)
    return sa.select(blobs.c.id).where(
        blobs.c.repository_id == repository_id, (blobs.c.base.is_not(None) & ~has_base) | ~has_pack
    )


async def list_commits_without_record(conn: AsyncConnection, repository_id: int) -> list[bytes]:
    """Rows of commits, or of their parents, that no record and no missing object stands behind."""
    found: list[bytes] = []
    for table, column in ((commits, commits.c.id), (commit_parents, commit_parents.c.commit_id)):
        recorded = sa.exists().where(
            records.c.repository_id == repository_id,
            records.c.kind == int(Kind.COMMIT),
            records.c.id == column,
        )
        missing = sa.exists().where(
            missing_objects.c.repository_id == repository_id,
            missing_objects.c.kind == int(Kind.COMMIT),
            missing_objects.c.id == column,
        )
        query = (
            sa.select(column).distinct().where(table.c.repository_id == repository_id, ~recorded, ~missing)
        )
        found += (await conn.execute(query.limit(SOME))).scalars()
    return found


async def load_commit_rows(
    conn: AsyncConnection, repository_id: int, ids: Sequence[bytes]
) -> tuple[dict[bytes, tuple[Any, ...]], dict[bytes, list[tuple[Any, ...]]]]:
    """Rows as `musehub.push.commits` makes them, of commits and their parents; instants as microseconds."""

    def plain(table: sa.Table, name: str) -> sa.ColumnElement[Any]:
        column = table.c[name]
        return sa.type_coerce(column, sa.BigInteger) if name.endswith("_at") else column

    wanted = ids_relation(conn, ids)
    query = (
        sa.select(*(plain(commits, name) for name in COMMIT_COLUMNS))
        .join_from(wanted, commits, commits.c.id == wanted.c.id)
        .where(commits.c.repository_id == repository_id)
    )
    rows = {row[1]: tuple(row) for row in await conn.execute(query)}
    wanted = ids_relation(conn, ids)
    query = (
        sa.select(*(plain(commit_parents, name) for name in PARENT_COLUMNS))
        .join_from(wanted, commit_parents, commit_parents.c.commit_id == wanted.c.id)
        .where(commit_parents.c.repository_id == repository_id)
        .order_by(commit_parents.c.commit_id, commit_parents.c.position)
    )
    parents: dict[bytes, list[tuple[Any, ...]]] = {}
    for row in await conn.execute(query):
        parents.setdefault(row[1], []).append(tuple(row))
    return rows, parents


# ---- marking


async def remove_broken_packs(
    conn: AsyncConnection, repository_id: int, digests: Iterable[bytes], now: datetime
) -> int:
    """Take away packs, the blobs in them and all that is based on those; returns how many blobs.

    They become missing objects. The caller has locked the repository.
    """
    ids = ids_relation(conn, list(digests))
    query = (
        sa.select(packs.c.id)
        .join_from(ids, packs, packs.c.digest == ids.c.id)
        .where(packs.c.repository_id == repository_id)
    )
    broken = list((await conn.execute(query)).scalars())
    here = blobs.c.repository_id == repository_id
    gone: list[bytes] = []
    for start in range(0, len(broken), 1000):
        these = broken[start : start + 1000]
        deleted = blobs.delete().where(here, blobs.c.pack_id.in_(these)).returning(blobs.c.id)
        gone += (await conn.execute(deleted)).scalars()
        await conn.execute(packs.delete().where(packs.c.id.in_(these)))
    while True:
        stranded = list((await conn.execute(_baseless_blobs(repository_id))).scalars())
        if not stranded:
            break
        wanted = ids_relation(conn, stranded)
        await conn.execute(blobs.delete().where(here, blobs.c.id.in_(sa.select(wanted.c.id))))
        gone += stranded
    await insert_missing(conn, repository_id, ((Kind.BLOB, object_id) for object_id in gone), now)
    return len(gone)


async def remove_broken_records(
    conn: AsyncConnection, repository_id: int, keys: Iterable[Key], now: datetime
) -> None:
    """Take away records that cannot be read; they become missing objects, their place is kept for them."""
    for kind, object_id in keys:
        this = (
            (records.c.repository_id == repository_id)
            & (records.c.kind == int(kind))
            & (records.c.id == object_id)
        )
        deleted = records.delete().where(this).returning(records.c.position)
        position = (await conn.execute(deleted)).scalar()
        await insert_missing(conn, repository_id, [(kind, object_id)], now, position)


async def insert_missing(
    conn: AsyncConnection,
    repository_id: int,
    keys: Iterable[Key],
    now: datetime,
    position: int | None = None,
) -> None:
    micros = to_micros(now)
    await insert_ignore(
        conn,
        missing_objects,
        ("repository_id", "kind", "id", "position", "found_at"),
        [(repository_id, int(kind), object_id, position, micros) for kind, object_id in keys],
    )


async def keep_missing(conn: AsyncConnection, repository_id: int, blob_ids: Sequence[bytes]) -> None:
    """Forget missing blobs but these: nothing that is reachable names the others."""
    m = missing_objects.c
    wanted = ids_relation(conn, blob_ids)
    named = m.id.in_(sa.select(wanted.c.id))
    await conn.execute(
        missing_objects.delete().where(m.repository_id == repository_id, m.kind == int(Kind.BLOB), ~named)
    )


async def set_totals(conn: AsyncConnection, repository_id: int, totals: Totals) -> None:
    """Put right what a repository is said to hold; counts as a removal, so that pushes look again."""
    c = repositories.c
    await conn.execute(
        repositories.update()
        .where(c.id == repository_id)
        .values(
            stored_bytes=totals.bytes,
            stored_objects=totals.objects,
            write_count=c.write_count + 1,
            gc_epoch=c.gc_epoch + 1,
        )
    )
