"""The activity feed of a repository."""

from __future__ import annotations

from muse.objects.ids import ID_BYTES
from musehub.db.activity import insert_activity
from musehub.db.history import find_commits
from musehub.jobs.pushed import load_push
from musehub.jobs.work import Payload, Work

NAME = "activity"
_SHOWN = 20


async def run(work: Work, payload: Payload) -> None:
    """Note a push once: who, which branches and tags, how much."""
    push = await load_push(work, payload)
    if push is None:
        return
    targets = {
        update.new for update in push.updates if update.new is not None and len(update.new) == ID_BYTES
    }
    async with work.parts.database.read("find commits") as conn:
        commits = await find_commits(conn, work.repository.id, sorted(targets))
    refs = [
        {
            "name": update.name,
            "old": update.old.hex() if update.old else None,
            "new": update.new.hex() if update.new else None,
            "summary": commits[update.new].summary if update.new in commits else "",
        }
        for update in push.updates[:_SHOWN]
    ]
    value = {"refs": refs, "ref_count": len(push.updates), "counts": push.counts}
    async with work.parts.database.transaction("note activity") as conn:
        await insert_activity(
            conn, work.repository.id, "push", push.id, push.user_id, value, push.finished_at
        )
