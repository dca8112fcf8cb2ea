"""What storing each content once, compressed and as deltas, saves."""

from __future__ import annotations

from musehub.jobs.head import find_head_tree
from musehub.jobs.kinds.storage import load_stored
from musehub.jobs.work import Payload, Work
from musehub.repos.directories import load_totals

NAME = "dedupe"


async def run(work: Work, _payload: Payload) -> None:
    """Compare the bytes of all distinct objects with those stored."""
    figures = await load_stored(work)
    tree = await find_head_tree(work)
    head = await load_totals(work.reader, tree) if tree is not None else None
    raw = figures.blob_raw_bytes + figures.record_raw_bytes
    stored = figures.blob_stored_bytes + figures.record_stored_bytes
    await work.save(
        NAME,
        {
            "raw_bytes": raw,
            "stored_bytes": stored,
            "ratio": round(raw / stored, 2) if stored else 1.0,
            "head_files": head.files if head else 0,
            "head_bytes": head.size_bytes if head else 0,
        },
    )
