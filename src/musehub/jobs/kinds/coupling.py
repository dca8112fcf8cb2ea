"""Files that change in the same commits."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import combinations, groupby
from typing import Any

from musehub.db.figures import list_changed_together
from musehub.jobs.changes import PATHS_SPAN, analyse_new_commits
from musehub.jobs.work import Payload, Work

NAME = "coupling"
SHOWN = 50
MAX_FILES = 30
"""A commit of more files couples nothing."""
MAX_CHANGES = 20_000
"""The newest changes that are looked at: at most 290,000 pairs."""
MIN_TOGETHER = 2


async def run(work: Work, _payload: Payload) -> None:
    """Count pairs in the newest commits of a year."""
    await analyse_new_commits(work)
    since = work.parts.clock() - PATHS_SPAN
    async with work.parts.database.read("list changed together") as conn:
        rows = await list_changed_together(conn, work.repository.id, since, MAX_FILES, MAX_CHANGES)
    await work.save(NAME, {"days": PATHS_SPAN.days, "pairs": await asyncio.to_thread(count_pairs, rows)})


def count_pairs(rows: list[tuple[bytes, str]]) -> list[dict[str, Any]]:
    """The pairs that changed together most often, of (commit, path) rows with equal commits side by side."""
    alone: Counter[str] = Counter()
    together: Counter[tuple[str, str]] = Counter()
    for _commit, group in groupby(rows, key=lambda row: row[0]):
        paths = sorted({path for _commit, path in group})
        alone.update(paths)
        together.update(combinations(paths, 2))
    ranked = sorted(
        (item for item in together.items() if item[1] >= MIN_TOGETHER), key=lambda item: (-item[1], item[0])
    )
    return [
        {"paths": [a, b], "together": count, "share": round(count / max(alone[a], alone[b]), 3)}
        for (a, b), count in ranked[:SHOWN]
    ]
