"""What changed in the last thirty days, in all and by path."""

from __future__ import annotations

from datetime import timedelta

from musehub.db.figures import delete_changes_before, sum_all_changes, sum_changes
from musehub.jobs.changes import LINES_SPAN, PATHS_SPAN, analyse_new_commits
from musehub.jobs.work import Payload, Work

NAME = "churn"
SHOWN = 50
_MARGIN = timedelta(days=2)


async def run(work: Work, _payload: Payload) -> None:
    """Sum the changes recorded by the walk; also forgets those that no span reaches any more."""
    await analyse_new_commits(work)
    now = work.parts.clock()
    since = now - LINES_SPAN
    async with work.parts.database.read("sum changes") as conn:
        totals = await sum_all_changes(conn, work.repository.id, since)
        paths = await sum_changes(conn, work.repository.id, since, SHOWN)
    async with work.parts.database.transaction("forget changes") as conn:
        await delete_changes_before(conn, work.repository.id, now - PATHS_SPAN - _MARGIN)
    listed = [
        {"path": p.path, "changes": p.changes, "lines_added": p.added, "lines_removed": p.removed}
        for p in paths
    ]
    await work.save(NAME, {"days": LINES_SPAN.days, "since": since.isoformat(), **totals, "paths": listed})
