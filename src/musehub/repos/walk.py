"""Pages of a history, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from musehub.db.engine import Database
from musehub.db.history import CommitRow, find_commits, find_generations, load_edges


class HistoryPage(NamedTuple):
    """Commits, and the heads of what follows: the starts of the next page, empty at the end."""

    commits: list[CommitRow]
    rest: list[bytes]


async def load_history(
    database: Database, repository_id: int, starts: Sequence[bytes], limit: int
) -> HistoryPage:
    """The first `limit` of all commits that `starts` reach, no commit before its children.

    Ordered by generation, then time, so that no clock can put a parent first. Reads a window of
    generations at a time: a page costs the same wherever in the history it is.
    """
    async with database.read("load history") as conn:
        pending = await find_generations(conn, repository_id, list(starts))
        walked: list[CommitRow] = []
        parents: dict[bytes, list[bytes]] = {}
        while pending and len(walked) < limit:
            floor = max(pending.values()) - limit
            heads = [commit_id for commit_id, generation in pending.items() if generation >= floor]
            edges = await load_edges(conn, repository_id, heads, floor)
            rows = await find_commits(conn, repository_id, list({edge.commit_id for edge in edges}))
            walked += sorted(rows.values(), key=_order)
            pending = {key: generation for key, generation in pending.items() if generation < floor}
            for edge in edges:
                if edge.parent_id is not None and edge.parent_generation is not None:
                    parents.setdefault(edge.commit_id, []).append(edge.parent_id)
                    if edge.parent_generation < floor:
                        pending[edge.parent_id] = edge.parent_generation
    page = walked[:limit]
    shown = {row.id for row in page}
    ahead = [*starts, *(parent for row in page for parent in parents.get(row.id, ()))]
    return HistoryPage(page, [commit_id for commit_id in dict.fromkeys(ahead) if commit_id not in shown])


def _order(row: CommitRow) -> tuple[int, float, bytes]:
    return -row.generation, -row.committed_at.timestamp(), row.id
