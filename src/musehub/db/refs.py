"""Branches and tags: rows and queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from muse.objects.ids import Kind
from muse.wire.messages import Ref
from musehub.db.bulk import insert_ignore
from musehub.db.instants import to_micros
from musehub.db.tables import refs

_NAMES_AT_ONCE = 5_000
"""Each is a bind parameter; both databases allow more than 30,000 of them."""


async def list_refs(conn: AsyncConnection, repository_id: int) -> dict[str, Ref]:
    """All refs, sorted by name."""
    query = (
        sa.select(refs.c.name, refs.c.target, refs.c.target_kind)
        .where(refs.c.repository_id == repository_id)
        .order_by(refs.c.name)
    )
    return {name: Ref(target, Kind(kind)) for name, target, kind in await conn.execute(query)}


async def find_refs(conn: AsyncConnection, repository_id: int, names: Sequence[str]) -> dict[str, Ref]:
    """Those of `names` that exist."""
    found: dict[str, Ref] = {}
    for start in range(0, len(names), _NAMES_AT_ONCE):
        query = sa.select(refs.c.name, refs.c.target, refs.c.target_kind).where(
            refs.c.repository_id == repository_id, refs.c.name.in_(names[start : start + _NAMES_AT_ONCE])
        )
        found |= {name: Ref(target, Kind(kind)) for name, target, kind in await conn.execute(query)}
    return found


async def replace_refs(
    conn: AsyncConnection, repository_id: int, values: Mapping[str, Ref | None], now: datetime
) -> None:
    """Set refs, or delete those whose value is None; the caller has locked the repository."""
    names = list(values)
    for start in range(0, len(names), _NAMES_AT_ONCE):
        await conn.execute(
            refs.delete().where(
                refs.c.repository_id == repository_id, refs.c.name.in_(names[start : start + _NAMES_AT_ONCE])
            )
        )
    micros = to_micros(now)
    rows = [
        (repository_id, name, ref.target, int(ref.kind), micros)
        for name, ref in sorted(values.items())
        if ref is not None
    ]
    await insert_ignore(conn, refs, ("repository_id", "name", "target", "target_kind", "updated_at"), rows)
