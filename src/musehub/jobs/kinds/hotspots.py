"""Files that are large and change often: where work concentrates."""

from __future__ import annotations

from musehub.db.figures import list_hotspots
from musehub.jobs.changes import PATHS_SPAN, analyse_new_commits
from musehub.jobs.work import Payload, Work

NAME = "hotspots"
SHOWN = 50


async def run(work: Work, _payload: Payload) -> None:
    """Rank by the number of changes in a year times the size now."""
    await analyse_new_commits(work)
    since = work.parts.clock() - PATHS_SPAN
    async with work.parts.database.read("list hotspots") as conn:
        found = await list_hotspots(conn, work.repository.id, since, SHOWN)
    listed = [{"path": path, "changes": changes, "bytes": size} for path, changes, size in found]
    await work.save(NAME, {"days": PATHS_SPAN.days, "files": listed})
