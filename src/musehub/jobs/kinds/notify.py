"""Tells webhooks of a push: writes what is to be delivered, and a job for each delivery."""

from __future__ import annotations

import json
from typing import Any

from musehub.db.history import CommitRow
from musehub.db.outbox import enqueue
from musehub.db.webhooks import insert_delivery, list_webhooks
from musehub.jobs.kinds import deliver
from musehub.jobs.pushed import Pushed, load_push
from musehub.jobs.work import Payload, Work
from musehub.repos.walk import load_history

NAME = "webhooks"
EVENT = "push"
_MAX_REFS = 100
_MAX_COMMITS = 20


async def run(work: Work, payload: Payload) -> None:
    """One delivery for each active webhook, however often this runs."""
    async with work.parts.database.read("list webhooks") as conn:
        hooks = [hook for hook in await list_webhooks(conn, work.repository.id) if hook.active]
    hooks = [hook for hook in hooks if EVENT in hook.events]
    push = await load_push(work, payload) if hooks else None
    if push is None:
        return
    heads = [update.new for update in push.updates if update.new and update.name.startswith("heads/")]
    page = await load_history(work.parts.database, work.repository.id, heads, _MAX_COMMITS)
    new_count = int(push.counts.get("commits", 0))
    body = json.dumps(_describe(work, push, page.commits[:new_count]), ensure_ascii=False)
    now = work.parts.clock()
    async with work.parts.database.transaction("enqueue deliveries") as conn:
        for hook in hooks:
            delivery_id = await insert_delivery(conn, hook, EVENT, push.id, body, now)
            if delivery_id is not None:
                await enqueue(conn, [deliver.NAME], work.repository.id, {"delivery_id": delivery_id}, now)


def _describe(work: Work, push: Pushed, commits: list[CommitRow]) -> dict[str, Any]:
    repository = work.repository
    return {
        "event": EVENT,
        "repository": {
            "id": repository.id,
            "full_name": repository.full_name,
            "visibility": repository.visibility,
            "default_branch": repository.default_branch,
        },
        "push": {
            "id": push.id.hex(),
            "user": push.user,
            "user_kind": push.user_kind,
            "finished_at": push.finished_at.isoformat(),
            "counts": push.counts,
            "ref_count": len(push.updates),
            "refs": [
                {
                    "name": update.name,
                    "old": update.old.hex() if update.old else None,
                    "new": update.new.hex() if update.new else None,
                }
                for update in push.updates[:_MAX_REFS]
            ],
        },
        "commits": [
            {
                "id": commit.id.hex(),
                "summary": commit.summary,
                "author": {
                    "name": commit.author_name,
                    "email": commit.author_email,
                    "kind": commit.author_kind,
                },
                "authored_at": commit.authored_at.isoformat(),
            }
            for commit in commits
        ],
    }
