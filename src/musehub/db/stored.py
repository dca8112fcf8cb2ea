"""What a repository really takes up, summed row by row; `state` has the totals that are kept beside it."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from musehub.db.state import Totals
from musehub.db.tables import blobs, packs, records


class StoredFigures(NamedTuple):
    """What a repository takes up; raw bytes are those before compression and deltas."""

    packs: int
    pack_bytes: int
    blobs: int
    blob_stored_bytes: int
    blob_raw_bytes: int
    records: int
    record_stored_bytes: int
    record_raw_bytes: int

    @property
    def totals(self) -> Totals:
        """What `RepositoryState` should say."""
        return Totals(self.pack_bytes + self.record_stored_bytes, self.blobs + self.records)


async def sum_stored(conn: AsyncConnection, repository_id: int) -> StoredFigures:
    """Three statements, each over the rows of this repository; no bytes are read."""

    def total(column: Any) -> Any:
        return sa.cast(sa.func.coalesce(sa.func.sum(column), 0), sa.BigInteger)

    queries = (
        sa.select(sa.func.count(), total(packs.c.size_bytes)).where(packs.c.repository_id == repository_id),
        sa.select(sa.func.count(), total(blobs.c.stored_size), total(blobs.c.raw_size)).where(
            blobs.c.repository_id == repository_id
        ),
        sa.select(sa.func.count(), total(sa.func.length(records.c.payload)), total(records.c.raw_size)).where(
            records.c.repository_id == repository_id
        ),
    )
    figures: list[int] = []
    for query in queries:
        figures += (await conn.execute(query)).one()
    return StoredFigures(*figures)
