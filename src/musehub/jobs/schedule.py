"""What happens without a push: results that age are refreshed, what is over is forgotten."""

from __future__ import annotations

from datetime import timedelta

from musehub.db.insights import list_stale
from musehub.db.outbox import delete_done_jobs, enqueue, has_open_job
from musehub.db.schedule import is_due
from musehub.db.webhooks import delete_old_deliveries
from musehub.jobs.catalog import REFRESHED
from musehub.jobs.kinds import collect
from musehub.jobs.work import Parts

REFRESH_AFTER = timedelta(days=1)
_AT_ONCE = 100


async def run_schedule(parts: Parts) -> None:
    """One look; several workers may do it at the same time."""
    now = parts.clock()
    keep = timedelta(days=parts.settings.job_keep_days)
    collect_every = timedelta(hours=parts.settings.gc_every_hours)
    async with parts.database.transaction("schedule jobs") as conn:
        for kind in REFRESHED:
            for repository_id in await list_stale(conn, kind, now - REFRESH_AFTER, _AT_ONCE):
                if not await has_open_job(conn, kind, repository_id):
                    await enqueue(conn, [kind], repository_id, {}, now)
        if collect_every and await is_due(conn, collect.NAME, collect_every, now):
            await enqueue(conn, [collect.NAME], None, {}, now)
        # When the last clean-up was, its job says.
        await delete_done_jobs(conn, now - max(keep, collect_every))
        await delete_old_deliveries(conn, now - keep)
