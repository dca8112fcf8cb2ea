"""The push that jobs follow from, as its receipt tells it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from musehub.db.pushes import DONE, find_push, find_pusher
from musehub.jobs.work import Payload, Work


class Update(NamedTuple):
    """A ref that moved; None where it did not exist."""

    name: str
    old: bytes | None
    new: bytes | None


class Pushed(NamedTuple):
    id: bytes
    user_id: int
    user: str
    user_kind: str
    finished_at: datetime
    updates: list[Update]
    counts: dict[str, Any]


async def load_push(work: Work, payload: Payload) -> Pushed | None:
    """The push named by a job; None if nothing is known of it any more."""
    push_id = bytes.fromhex(payload["push_id"])
    async with work.parts.database.read("find push") as conn:
        row = await find_push(conn, work.repository.id, push_id)
        user_id = await find_pusher(conn, work.repository.id, push_id)
    if row is None or row.state != DONE or row.result is None or user_id is None:
        return None
    updates = [
        Update(update["name"], _from_hex(update["old"]), _from_hex(update["new"]))
        for update in row.result["updates"]
    ]
    finished_at = row.finished_at or row.started_at
    return Pushed(push_id, user_id, row.user, row.user_kind, finished_at, updates, row.result["counts"])


def _from_hex(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)
