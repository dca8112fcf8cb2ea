"""Branches and tags as pages show them: a few at a time, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from muse.objects.ids import Kind
from muse.wire.messages import Ref
from muse.wire.refnames import HEADS, TAGS
from musehub.db.bulk import ids_relation
from musehub.db.tables import commits, refs

_REF = (refs.c.name, refs.c.target, refs.c.target_kind)


class RefCounts(NamedTuple):
    branches: int
    tags: int


class RefAt(NamedTuple):
    """A ref at a commit, and how many branches and tags stand there with it."""

    target: bytes
    name: str
    there: RefCounts


async def count_refs(conn: AsyncConnection, repository_id: int) -> RefCounts:
    counted = (sa.func.count().filter(_begins_with(prefix)) for prefix in (HEADS, TAGS))
    query = sa.select(*counted).where(refs.c.repository_id == repository_id)
    return RefCounts._make((await conn.execute(query)).one())


async def list_names(
    conn: AsyncConnection, repository_id: int, prefix: str, limit: int, *, last: bool = False
) -> list[str]:
    """The first names with that prefix, or the last and those backwards; with their prefix."""
    order = refs.c.name.desc() if last else refs.c.name
    query = sa.select(refs.c.name).where(refs.c.repository_id == repository_id, _begins_with(prefix))
    return list((await conn.execute(query.order_by(order).limit(limit))).scalars())


async def list_refs_page(
    conn: AsyncConnection,
    repository_id: int,
    prefix: str,
    *,
    first: str = "",
    search: str = "",
    target: bytes | None = None,
    limit: int,
    offset: int = 0,
) -> list[tuple[str, Ref]]:
    """The ref called `first`, then those of the newest commits, then those moved last.

    `search` is part of the name below the prefix, in letters of any case.
    """
    c = refs.c
    committed = (commits.c.repository_id == c.repository_id) & (commits.c.id == c.target)
    query = (
        sa.select(*_REF)
        .join_from(refs, commits, committed, isouter=True)
        .where(c.repository_id == repository_id, _begins_with(prefix))
        .order_by(
            (c.name != first).asc(), commits.c.committed_at.desc().nulls_last(), c.updated_at.desc(), c.name
        )
    )
    if search:
        query = query.where(sa.func.substr(c.name, len(prefix) + 1).icontains(search, autoescape=True))
    if target is not None:
        query = query.where(c.target == target)
    return _to_refs(await conn.execute(query.limit(limit).offset(offset)))


async def list_annotated_tags(conn: AsyncConnection, repository_id: int, limit: int) -> list[tuple[str, Ref]]:
    c = refs.c
    query = sa.select(*_REF).where(c.repository_id == repository_id, c.target_kind == int(Kind.TAG))
    return _to_refs(await conn.execute(query.order_by(c.name).limit(limit)))


async def list_refs_at(
    conn: AsyncConnection, repository_id: int, ids: Sequence[bytes], limit: int
) -> list[RefAt]:
    """At each of these commits its first refs, branches before tags."""
    c = refs.c
    wanted = ids_relation(conn, ids)

    def counted(prefix: str) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((_begins_with(prefix), 1), else_=0)).over(partition_by=c.target)

    number = sa.func.row_number().over(partition_by=c.target, order_by=c.name)
    ranked = (
        sa.select(
            c.target, c.name, counted(HEADS).label("heads"), counted(TAGS).label("tags"), number.label("n")
        )
        .join_from(wanted, refs, c.target == wanted.c.id)
        .where(c.repository_id == repository_id, c.target_kind == int(Kind.COMMIT))
        .subquery()
    )
    r = ranked.c
    query = sa.select(r.target, r.name, r.heads, r.tags).where(r.n <= limit).order_by(r.name)
    return [
        RefAt(target, name, RefCounts(int(heads), int(tags)))
        for target, name, heads, tags in await conn.execute(query)
    ]


def is_storable(text: str) -> bool:
    """Whether databases take it as a text: what they do not is no name of anything."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _begins_with(prefix: str) -> sa.ColumnElement[bool]:
    """As a range of the primary key: LIKE is none, `0` is what follows the slash."""
    return (refs.c.name >= prefix) & (refs.c.name < prefix[:-1] + "0")


def _to_refs(rows: Any) -> list[tuple[str, Ref]]:
    return [(name, Ref(target, Kind(kind))) for name, target, kind in rows]
