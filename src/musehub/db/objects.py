"""What is recorded of a repository's objects, whatever their kind; see `records` and `blobs` for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from muse.objects.ids import Kind
from musehub.db.bulk import find_present, ids_relation
from musehub.db.tables import blobs, records

MAX_CHAIN = 64
"""Longest chain of bases that is accepted; see docs/formats/wire.md."""


async def find_present_objects(
    conn: AsyncConnection, repository_id: int, kind: Kind, ids: Iterable[bytes]
) -> set[bytes]:
    """Those of `ids` that are recorded, in one statement."""
    if kind is Kind.BLOB:
        return await find_present(conn, blobs, ids, {"repository_id": repository_id})
    return await find_present(conn, records, ids, {"repository_id": repository_id, "kind": int(kind)})


def chains_relation(
    conn: AsyncConnection, table: sa.Table, here: sa.ColumnElement[bool], ids: Sequence[bytes]
) -> sa.FromClause:
    """A relation with one column `id`: those of `ids` that are in `table`, and all that they are deltas of.

    `here` says which rows of the table belong to the repository (and kind). At most `MAX_CHAIN` deep.
    """
    wanted = ids_relation(conn, ids)
    c = table.c
    chain = (
        sa.select(c.id, c.base, sa.literal_column("0", sa.Integer).label("depth"))
        .join_from(wanted, table, c.id == wanted.c.id)
        .where(here)
        .cte("chain", recursive=True)
    )
    chain = chain.union(
        sa.select(c.id, c.base, chain.c.depth + 1)
        .join_from(chain, table, c.id == chain.c.base)
        .where(here, chain.c.depth < MAX_CHAIN)
    )
    return sa.select(chain.c.id).distinct().subquery("found")
