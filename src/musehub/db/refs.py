"""Branches and tags: rows and queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from muse.objects.ids import Kind
from muse.wire.refnames import TAGS
from muse.wire.refs import Ref
from musehub.db.bulk import ids_relation, insert_ignore
from musehub.db.instants import to_micros
from musehub.db.tables import commits, refs

_NAMES_AT_ONCE = 5_000
"""Each is a bind parameter; both databases allow more than 30,000 of them."""
_MAX_MICROS = 1 << 58
"""Further from 1970 than any instant that has a year of four digits."""
FIRST_TAG_PLACE = 1 << 59
"""Places of branches are smaller."""
_TAG_OF_COMMIT = 1 << 60
_OTHER_TAG = 1 << 61


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


async def list_targets(conn: AsyncConnection, repository_id: int, kind: Kind) -> list[bytes]:
    """The objects of that kind that refs name, each once, sorted."""
    c = refs.c
    query = sa.select(c.target).distinct().where(c.repository_id == repository_id, c.target_kind == int(kind))
    return list((await conn.execute(query.order_by(c.target))).scalars())


def place_of(name: str, committed_at: int | None, updated_at: int) -> int:
    """Where a list shows a ref: branches, tags of commits, other tags; in each the newest first.

    Other tags are as old as their last move. Instants are microseconds; the scripts of migrations know this
    rule, too.
    """
    if not name.startswith(TAGS):
        return -_bounded(committed_at or 0)
    return (
        _OTHER_TAG - _bounded(updated_at) if committed_at is None else _TAG_OF_COMMIT - _bounded(committed_at)
    )


def _bounded(micros: int) -> int:
    return max(-_MAX_MICROS, min(micros, _MAX_MICROS))


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
    kept = [(name, ref) for name, ref in sorted(values.items()) if ref is not None]
    times = await _find_times(conn, repository_id, {ref.target for _, ref in kept if ref.kind is Kind.COMMIT})
    rows = [
        (
            repository_id,
            name,
            ref.target,
            int(ref.kind),
            micros,
            place_of(name, times.get(ref.target) if ref.kind is Kind.COMMIT else None, micros),
        )
        for name, ref in kept
    ]
    columns = ("repository_id", "name", "target", "target_kind", "updated_at", "place")
    await insert_ignore(conn, refs, columns, rows)


async def _find_times(conn: AsyncConnection, repository_id: int, ids: set[bytes]) -> dict[bytes, int]:
    """When these commits were made, in microseconds."""
    if not ids:
        return {}
    wanted = ids_relation(conn, sorted(ids))
    query = (
        sa.select(commits.c.id, sa.type_coerce(commits.c.committed_at, sa.BigInteger))
        .join_from(wanted, commits, commits.c.id == wanted.c.id)
        .where(commits.c.repository_id == repository_id)
    )
    return {row[0]: row[1] for row in await conn.execute(query)}
