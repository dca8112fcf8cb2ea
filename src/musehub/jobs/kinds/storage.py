"""What a repository takes up in store and database."""

from __future__ import annotations

from musehub.db.stored import StoredFigures, sum_stored
from musehub.jobs.work import Payload, Work

NAME = "storage"


async def run(work: Work, _payload: Payload) -> None:
    """Sum the sizes of packs and records; reads no bytes."""
    figures = await load_stored(work)
    await work.save(
        NAME,
        {
            "stored_bytes": figures.totals.bytes,
            "raw_bytes": figures.blob_raw_bytes + figures.record_raw_bytes,
            "objects": figures.totals.objects,
            **figures._asdict(),
        },
    )


async def load_stored(work: Work) -> StoredFigures:
    """Summed once for all jobs that run together."""

    async def load() -> StoredFigures:
        async with work.parts.database.read("sum stored") as conn:
            return await sum_stored(conn, work.repository.id)

    return await work.share("stored", load)
