"""What a repository holds, what it may hold, and the lock under which both change.

Whoever records, moves a ref or removes something first locks the repository's row, then adds to its totals in
the same transaction: totals are exact, quotas hold for any number of pushers, and clean-up sees every change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from muse.objects.ids import Kind
from musehub.db.tables import blobs, missing_objects, records, repositories, users

_BLOB = int(Kind.BLOB)
NONE, SIGNED, KNOWN = "none", "signed", "known"
SIGNATURES = (NONE, SIGNED, KNOWN)
"""Policies of a repository about signatures, weakest first."""


class RepositoryState(NamedTuple):
    """Quotas are None where the settings decide, 0 where there is none."""

    id: int
    owner_id: int
    default_branch: str
    signatures: str
    is_incomplete: bool
    gc_epoch: int
    write_count: int
    stored_bytes: int
    stored_objects: int
    quota_bytes: int | None
    quota_objects: int | None
    owner_quota_bytes: int | None
    owner_quota_objects: int | None


class Totals(NamedTuple):
    bytes: int
    objects: int


_STATE = (
    repositories.c.id,
    repositories.c.owner_id,
    repositories.c.default_branch,
    repositories.c.signatures,
    repositories.c.is_incomplete,
    repositories.c.gc_epoch,
    repositories.c.write_count,
    repositories.c.stored_bytes,
    repositories.c.stored_objects,
    repositories.c.quota_bytes,
    repositories.c.quota_objects,
    users.c.quota_bytes.label("owner_quota_bytes"),
    users.c.quota_objects.label("owner_quota_objects"),
)


async def load_state(
    conn: AsyncConnection, repository_id: int, *, lock: bool = False
) -> RepositoryState | None:
    """The state of a repository, None if it was deleted.

    `lock` makes every other transaction that locks it wait for the end of this one. On SQLite a writing
    transaction excludes all others anyway.
    """
    query = (
        sa.select(*_STATE)
        .join_from(repositories, users, users.c.id == repositories.c.owner_id)
        .where(repositories.c.id == repository_id)
    )
    if lock:
        query = query.with_for_update(of=repositories, key_share=True)
    row = (await conn.execute(query)).first()
    return RepositoryState._make(row) if row is not None else None


async def load_owner_totals(conn: AsyncConnection, owner_id: int, *, lock: bool = False) -> Totals:
    """What all repositories of a user hold; `lock` makes others who ask with it wait."""
    if lock:
        user = sa.select(users.c.id).where(users.c.id == owner_id).with_for_update(key_share=True)
        await conn.execute(user)
    query = sa.select(
        sa.cast(sa.func.coalesce(sa.func.sum(repositories.c.stored_bytes), 0), sa.BigInteger),
        sa.cast(sa.func.coalesce(sa.func.sum(repositories.c.stored_objects), 0), sa.BigInteger),
    ).where(repositories.c.owner_id == owner_id)
    row = (await conn.execute(query)).one()
    return Totals(row[0], row[1])


async def add_to_totals(
    conn: AsyncConnection,
    repository_id: int,
    size_bytes: int,
    objects: int,
    *,
    removed: bool = False,
    others: Mapping[str, Any] = {},
) -> None:
    """Add to what a repository holds and count this transaction; `removed` says that objects are gone.

    `others` are columns that change with it.
    """
    c = repositories.c
    values = {
        **others,
        "stored_bytes": c.stored_bytes + size_bytes,
        "stored_objects": c.stored_objects + objects,
        "write_count": c.write_count + 1,
    }
    if removed:
        values["gc_epoch"] = c.gc_epoch + 1
    await conn.execute(repositories.update().where(c.id == repository_id).values(**values))


async def set_repository_quota(
    conn: AsyncConnection, repository_id: int, quota_bytes: int | None, quota_objects: int | None
) -> None:
    await conn.execute(
        repositories.update()
        .where(repositories.c.id == repository_id)
        .values(quota_bytes=quota_bytes, quota_objects=quota_objects)
    )


async def set_user_quota(
    conn: AsyncConnection, user_id: int, quota_bytes: int | None, quota_objects: int | None
) -> None:
    await conn.execute(
        users.update()
        .where(users.c.id == user_id)
        .values(quota_bytes=quota_bytes, quota_objects=quota_objects)
    )


async def set_signatures(conn: AsyncConnection, repository_id: int, policy: str) -> None:
    await conn.execute(
        repositories.update().where(repositories.c.id == repository_id).values(signatures=policy)
    )


async def note_healed(conn: AsyncConnection, repository_id: int) -> int:
    """Forget those missing objects that are there again; returns how many are still missing.

    Records get their old place in the order back, so that children stand before their parents again.
    """
    m, r = missing_objects.c, records.c
    here = m.repository_id == repository_id
    again = (r.repository_id == m.repository_id) & (r.kind == m.kind) & (r.id == m.id)
    other = records.alias("other")
    await conn.execute(
        records.update()
        .values(position=m.position)
        .where(
            r.repository_id == repository_id,
            again,
            m.position.is_not(None),
            ~sa.exists().where(other.c.position == m.position),
        )
    )
    blob = sa.exists().where(blobs.c.repository_id == m.repository_id, blobs.c.id == m.id)
    record = sa.exists().where(again)
    await conn.execute(
        missing_objects.delete().where(here, ((m.kind == _BLOB) & blob) | ((m.kind != _BLOB) & record))
    )
    left = await conn.scalar(sa.select(sa.func.count()).select_from(missing_objects).where(here))
    await conn.execute(
        repositories.update().where(repositories.c.id == repository_id).values(is_incomplete=bool(left))
    )
    return left or 0
