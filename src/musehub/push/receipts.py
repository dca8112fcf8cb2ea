"""Answers "did my push land?"."""

from __future__ import annotations

from typing import Any

from muse.errors import NotFound
from musehub.accounts.actor import Actor
from musehub.accounts.permissions import Action
from musehub.db.pushes import DONE, FAILED, PushRow, find_push
from musehub.push.service import PushService
from musehub.repos.access import get_repository


async def get_receipt(
    service: PushService, actor: Actor, owner: str, name: str, push_id: bytes
) -> dict[str, Any]:
    """What is recorded about a push; raises `receipt-not-found`, `repository-not-found`."""
    async with service.database.read("get receipt") as conn:
        repository = await get_repository(conn, actor, Action.READ, owner, name)
        push = await find_push(conn, repository.id, push_id)
    if push is None:
        raise NotFound("receipt-not-found", f"nothing is recorded about a push {push_id.hex()}")
    return receipt_to_json(push)


def receipt_to_json(push: PushRow) -> dict[str, Any]:
    return {
        "push_id": push.id.hex(),
        "user": push.user,
        "state": push.state,
        "started_at": push.started_at.isoformat(),
        "finished_at": push.finished_at.isoformat() if push.finished_at else None,
        "result": push.result if push.state == DONE else None,
        "error": push.result if push.state == FAILED else None,
        "timeline": push.timeline,
        "counts": {
            "commits": push.commit_count,
            "trees": push.tree_count,
            "blobs": push.blob_count,
            "received_bytes": push.received_bytes,
        },
    }
