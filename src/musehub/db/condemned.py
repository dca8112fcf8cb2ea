"""Packs that nothing names any more and that leave the store later: written down, leased, deleted, forgotten.

docs/decisions/0010-collecting-beside-pushes.md says how pushes and clean-ups agree by these rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.bulk import ids_relation, insert_ignore
from musehub.db.instants import to_micros
from musehub.db.packs import find_packs
from musehub.db.tables import condemned_packs, packs


async def condemn_packs(
    conn: AsyncConnection, repository_id: int, digests: Sequence[bytes], condemned_at: datetime
) -> None:
    micros = to_micros(condemned_at)
    await insert_ignore(
        conn,
        condemned_packs,
        ("repository_id", "digest", "condemned_at"),
        [(repository_id, digest, micros) for digest in digests],
    )


async def find_unnamed_digests(
    conn: AsyncConnection, repository_id: int, digests: Sequence[bytes]
) -> set[bytes]:
    """Those of the digests that neither a row of `packs` nor one of `condemned_packs` names."""
    c = condemned_packs.c
    wanted = ids_relation(conn, digests)
    query = (
        sa.select(c.digest)
        .join_from(wanted, condemned_packs, c.digest == wanted.c.id)
        .where(c.repository_id == repository_id)
    )
    condemned = (await conn.execute(query)).scalars()
    recorded = [pack.digest for pack in await find_packs(conn, repository_id, digests)]
    return set(digests).difference(recorded, condemned)


async def list_condemned(
    conn: AsyncConnection, before: datetime, now: datetime, repository_id: int | None, limit: int
) -> list[tuple[int, bytes]]:
    """(repository, digest) of what was condemned at `before` at the latest and nobody is deleting."""
    c = condemned_packs.c
    free = c.leased_until.is_(None) | (c.leased_until <= now)
    query = sa.select(c.repository_id, c.digest).where(c.condemned_at <= before, free)
    if repository_id is not None:
        query = query.where(c.repository_id == repository_id)
    query = query.order_by(c.repository_id, c.digest).limit(limit)
    return [(row[0], row[1]) for row in await conn.execute(query)]


async def lease_condemned(
    conn: AsyncConnection, repository_id: int, digests: Sequence[bytes], now: datetime, until: datetime
) -> list[bytes]:
    """Take condemned packs to delete them; those that were taken back meanwhile are left out."""
    c = condemned_packs.c
    free = c.leased_until.is_(None) | (c.leased_until <= now)
    wanted = ids_relation(conn, digests)
    named = sa.exists().where(packs.c.repository_id == repository_id, packs.c.digest == c.digest)
    leased = (
        condemned_packs.update()
        .where(c.repository_id == repository_id, c.digest.in_(sa.select(wanted.c.id)), free, ~named)
        .values(leased_until=until)
        .returning(c.digest)
    )
    return list((await conn.execute(leased)).scalars())


async def take_back_pack(conn: AsyncConnection, repository_id: int, digest: bytes, now: datetime) -> bool:
    """Save a pack from being deleted; False if somebody is deleting it right now."""
    c = condemned_packs.c
    this = (c.repository_id == repository_id) & (c.digest == digest)
    row = (await conn.execute(sa.select(c.leased_until).where(this))).first()
    if row is None:
        return True
    if row.leased_until is not None and row.leased_until > now:
        return False
    await conn.execute(condemned_packs.delete().where(this))
    return True


async def forget_condemned(conn: AsyncConnection, repository_id: int, digests: Sequence[bytes]) -> None:
    wanted = ids_relation(conn, digests)
    c = condemned_packs.c
    await conn.execute(
        condemned_packs.delete().where(c.repository_id == repository_id, c.digest.in_(sa.select(wanted.c.id)))
    )
