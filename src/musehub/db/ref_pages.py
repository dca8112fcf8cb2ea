"""Branches and tags as pages show them: a few at a time, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from muse.objects.ids import Kind
from muse.wire.refnames import HEADS, TAGS
from muse.wire.refs import Ref
from musehub.db.bulk import ids_relation
from musehub.db.refs import FIRST_TAG_PLACE, find_refs
from musehub.db.tables import refs

_REF = (refs.c.name, refs.c.target, refs.c.target_kind)

COUNTED_MAX = 10_000
"""More are not counted: to count 100,000 takes 10 ms, on every page."""


class RefCounts(NamedTuple):
    """`COUNTED_MAX` + 1 stands for any larger number, too."""

    branches: int
    tags: int


class RefAt(NamedTuple):
    """A ref at a commit, and how many branches and tags stand there with it."""

    target: bytes
    name: str
    there: RefCounts


async def count_refs(conn: AsyncConnection, repository_id: int) -> RefCounts:
    here = refs.c.repository_id == repository_id
    counted = (_count(here & _begins_with(prefix)) for prefix in (HEADS, TAGS))
    return RefCounts._make((await conn.execute(sa.select(*counted))).one())


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

    `search` is part of the name below the prefix, in letters of any case: where few are called so, all names
    are read. Those at the commit `target` come by name.
    """
    c = refs.c
    here = [c.repository_id == repository_id]
    if search:
        here.append(sa.func.substr(c.name, len(prefix) + 1).icontains(search, autoescape=True))
    order: list[sa.ColumnElement[Any]] = [c.name]
    if target is not None:
        here += [c.target_kind == int(Kind.COMMIT), c.target == target, _begins_with(prefix)]
    else:
        order.insert(0, c.place)
        here.append(c.place < FIRST_TAG_PLACE if prefix == HEADS else c.place >= FIRST_TAG_PLACE)
    names: list[str] = []
    if first:
        names += (await conn.execute(sa.select(c.name).where(*here, c.name == first))).scalars()
        here.append(c.name != first)
        if names and offset:
            offset, names = offset - 1, []
    # What is passed over, or not called so, is read in an index only.
    query = sa.select(c.name).where(*here).order_by(*order).limit(limit - len(names)).offset(offset)
    names += (await conn.execute(query)).scalars()
    found = await find_refs(conn, repository_id, names)
    return [(name, found[name]) for name in names if name in found]


async def list_annotated_tags(conn: AsyncConnection, repository_id: int, limit: int) -> list[tuple[str, Ref]]:
    """Annotated tags in any order, that many of them."""
    c = refs.c
    query = sa.select(*_REF).where(c.repository_id == repository_id, c.target_kind == int(Kind.TAG))
    return _to_refs(await conn.execute(query.limit(limit)))


async def list_refs_at(
    conn: AsyncConnection, repository_id: int, ids: Sequence[bytes], limit: int
) -> list[RefAt]:
    """At each of these commits its first refs, branches before tags."""
    c = refs.c
    wanted = ids_relation(conn, ids)
    there = (
        (c.repository_id == repository_id) & (c.target_kind == int(Kind.COMMIT)) & (c.target == wanted.c.id)
    )
    first = sa.select(c.name).where(there).correlate(wanted).order_by(c.name).limit(limit).subquery()
    # No name has a line break in it.
    names = sa.select(sa.func.aggregate_strings(first.c.name, "\n")).scalar_subquery()
    counted = (_count(there & _begins_with(prefix), wanted) for prefix in (HEADS, TAGS))
    return [
        RefAt(target, name, RefCounts(branches, tags))
        for target, joined, branches, tags in await conn.execute(sa.select(wanted.c.id, names, *counted))
        for name in sorted(joined.split("\n") if joined else ())
    ]


def is_storable(text: str) -> bool:
    """Whether databases take it as a text: what they do not is no name of anything."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _begins_with(prefix: str) -> sa.ColumnElement[bool]:
    """As a range of the primary key: LIKE is none, `0` is what follows the slash."""
    return (refs.c.name >= prefix) & (refs.c.name < prefix[:-1] + "0")


def _count(which: sa.ColumnElement[bool], *outer: sa.FromClause) -> sa.ScalarSelect[int]:
    """How many, up to one more than `COUNTED_MAX`; one row is enough to reach a number."""
    some = sa.select(sa.literal(1)).select_from(refs).where(which).correlate(*outer).limit(COUNTED_MAX + 1)
    return sa.select(sa.func.count()).select_from(some.subquery()).scalar_subquery()


def _to_refs(rows: Any) -> list[tuple[str, Ref]]:
    return [(name, Ref(target, Kind(kind))) for name, target, kind in rows]
