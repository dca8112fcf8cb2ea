"""What is recorded of a repository's objects, whatever their kind; see `records` and `packs` for each."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from muse.objects.ids import Kind
from musehub.db.bulk import find_present
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
